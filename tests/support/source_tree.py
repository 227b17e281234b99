"""What tests of vendoring do with a source tree and with copies; its fixtures are in tests/tools/conftest.py."""


def snapshot(directory):
    """Every file below a directory with its content, by relative path."""
    files = (path for path in directory.rglob("*") if path.is_file())
    return {path.relative_to(directory).as_posix(): path.read_bytes() for path in files}


def grow(source):
    """Let the source move on: one module more, one changed."""
    (source / "asyncslot" / "_brand_new.py").write_text('"""New."""\n')
    with (source / "host_adapters" / "__init__.py").open("a") as file:
        file.write("# changed\n")
