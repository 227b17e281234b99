"""The plug-in that is put into every host. The host's own entry point calls start(), and stop() where it unloads."""


def start():
    """Play the story that the environment names, as soon as the host's event loop runs."""
    from . import story

    story.start()


def stop():
    """Leave, as any plug-in does when it is unloaded."""
    from . import story

    story.stop()
