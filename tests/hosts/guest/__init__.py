"""The plug-in that is put into every host. The host's own entry point calls start()."""


def start():
    """Play the story that the environment names, as soon as the host's event loop runs."""
    from . import story

    story.start()
