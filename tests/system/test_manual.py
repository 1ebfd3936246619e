"""The manual's OPTIONS are those that the program has, no more and no fewer."""
import pathlib
import re

from harness import check, equal, main, plimsoll, test

MAN = pathlib.Path(__file__).resolve().parents[2] / "man"


def options_of_help(command):
    """{--name} of `plimsoll COMMAND --help`, but --help itself."""
    text = plimsoll(command, "--help").out.partition("\noptions:\n")[2]
    check(text, f"{command} --help has no options")
    return set(re.findall(r"^  (?:-\w, |    )--([\w-]+)", text, re.M)) - {"help"}


def options_of_manual(page):
    text = page.read_text().partition("\n# OPTIONS\n")[2].partition("\n# ")[0]
    heads = [line for line in text.splitlines() if line.startswith("*-")]
    return {name for line in heads for name in re.findall(r"\*--([\w-]+)\*", line)}


def commands():
    text = plimsoll("--help").out
    return re.findall(r"^  (\w+) ", text, re.M)


@test("every command has a manual page, and its OPTIONS are those of --help")
def _():
    found = commands()
    check(len(found) >= 7, f"commands: {found}")
    if not MAN.is_dir():
        return  # in the virtual machine there are no sources: this was compared outside
    for command in found:
        page = MAN / f"plimsoll-{command}.1.scd"
        check(page.exists(), f"there is no {page.name}")
        equal(options_of_manual(page), options_of_help(command), f"options of {command}")


@test("what is installed beside the pages is named by them, with its place")
def _():
    if not MAN.is_dir():
        return
    installs = {}
    for folder in ("packaging", "examples"):
        text = (MAN.parent / folder / "meson.build").read_text()
        for call in re.findall(r"install_data\((.*?)\)\n", text, re.S):
            place = re.search(r"/ '(doc/[^']*)'", call)[1]
            names = re.findall(r"'([^']+)'", call.partition("install_dir")[0])
            installs.update((name, f"share/{place}") for name in names)
    check({"guards.conf", "selfcap.c"} <= set(installs), f"what is installed: {installs}")
    pages = [page.read_text() for page in MAN.glob("*.scd")]
    for name in ("guards.conf", "selfcap.c"):
        check(any(name in page and installs[name] in page for page in pages),
              f"no page names {installs[name]}/{name}")


if __name__ == "__main__":
    main(needs_programs=False)
