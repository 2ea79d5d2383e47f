# SPDX-License-Identifier: GPL-2.0-or-later
"""Help, man pages and completions: do they all say what the one table of commands and options says?

Each test walks over everything that the table has, so that a new command is tested by being there.
"""

import json
import os
import re
import shutil
import subprocess

import pytest

import lab

CTL = lab.BUILD / "penstockctl"
PROGRAMS = ("penstockctl", "penstockd", "penstock-bench")
MANUAL_SECTIONS = {"penstockctl": 1, "penstockd": 8, "penstock-bench": 1}


MINIMAL = "listeners: []\nendpoints: []\ntargets: []\nstore: { path: store }\n"


def output(*words):
    return subprocess.check_output([str(word) for word in words], text=True, timeout=20)


def command_names():
    overview = output(CTL, "--help")
    names = re.findall(r"^  ([a-z-]+(?: [a-z-]+)?)(?: \[?[A-Z.]+\]?)*(?: {2,}|$)", overview.split("Options:")[0], re.M)
    assert len(names) >= 17
    return names


COMMANDS = command_names()


@pytest.mark.parametrize("name", COMMANDS)
def test_help_has_an_example_and_says_what_json_is(name):
    text = output(CTL, "help", *name.split())
    assert re.search(rf"^  penstockctl (?:.* )?{name}\b", text, re.M), "no example"
    assert re.search(r"^--json prints penstock\.[a-z_]+/v[0-9]+\.$|^Takes no --json: .+\.$", text, re.M)


@pytest.mark.parametrize("name", COMMANDS)
def test_json_is_taken_and_errors_are_json_too(name, tmp_path):
    """Without a daemon, and with files that are not there: one document on standard output, nothing beside it."""
    usage = output(CTL, "help", *name.split()).splitlines()[0]
    arguments = ["nothing" for word in re.findall(r"(?<![\[A-Z])[A-Z]{2,}(?![A-Z.\]])", usage.replace("[OPTION...]", ""))]
    done = subprocess.run([CTL, "--json", "--socket", tmp_path / "none", *name.split(), *arguments],
                          capture_output=True, text=True, cwd=tmp_path, timeout=20, check=False)
    if done.returncode == 0 and "\nTakes no --json: " in output(CTL, "help", *name.split()):
        assert done.stdout and done.stderr == ""  # only errors are JSON
        return
    document = json.loads(done.stdout)
    assert re.fullmatch(r"penstock\.[a-z_]+/v[0-9]+", document["schema"])
    assert done.stderr == ""
    if document["schema"].startswith("penstock.problem/"):
        assert done.returncode != 0
        assert document["code"] and document["detail"]
        assert f"\n.TP\n\\fB{done.returncode}\\fR\n" in output(CTL, "--generate", "man"), "an undocumented exit code"


@pytest.mark.parametrize("words", [
    "", "nonsense", "events", "events nonsense", "status --nonsense", "status --timeout 0", "dlq replay",
    "events list --limit 0", "top --interval 0", "top --count x", "drain --deadline x", "reload --confirm-within x",
    "rollback --confirm-within 1ms", "config check --level x", "config check --format x", "config reference --format x",
    "explain", "explain PS1103 --list", "support-bundle", "verify", f"support-bundle {4096 * 'x'}"])
def test_json_wrong_usage(words, tmp_path):
    """Wherever --json stands; one document, and nothing beside it."""
    if "xxx" in words:
        (tmp_path / "penstock.yaml").write_text(MINIMAL)
        words += " --config penstock.yaml"
    for line in (["--json", *words.split()], [*words.split(), "--json"]):
        done = subprocess.run([CTL, *line], capture_output=True, text=True, timeout=20, check=False, cwd=tmp_path)
        assert done.returncode == 64 and done.stderr == "", line
        problem = json.loads(done.stdout)
        assert problem["schema"] == "penstock.problem/v1" and problem["code"] == "usage" and problem["detail"]


@pytest.mark.parametrize("words,code", [
    ("explain PS9999", "no_such_code"), ("support-bundle new.tar --config none.yaml", "config_invalid"),
    ("support-bundle penstock.yaml --config penstock.yaml", "not_written"), ("top", "not_running"),
    ("tail", "not_running"), ("upgrade", "not_running"), ("drain", "not_running"),
    ("config diff", "not_running"), ("config reference --format x", "usage")])
def test_json_of_what_goes_wrong(words, code, tmp_path):
    """What fails here and not at the daemon has a code, too."""
    (tmp_path / "penstock.yaml").write_text(MINIMAL)
    done = subprocess.run([CTL, "--json", "--socket", "none", *words.split()], capture_output=True, text=True, timeout=20,
                          check=False, cwd=tmp_path)
    problem = json.loads(done.stdout)
    assert done.returncode != 0 and done.stderr == ""
    assert problem["schema"] == "penstock.problem/v1" and problem["code"] == code and problem["detail"]


@pytest.mark.parametrize("program", PROGRAMS)
def test_man_page_is_clean_and_whole(program, tmp_path):
    page = tmp_path / f"{program}.{MANUAL_SECTIONS[program]}"
    page.write_text(output(lab.BUILD / program, "--generate", "man"))
    if shutil.which("man"):
        done = subprocess.run(["man", "--warnings", "-l", page], capture_output=True, text=True, check=True,
                              env={"PATH": "/usr/bin:/bin", "LC_ALL": "C.UTF-8", "MANWIDTH": "100"})
        assert done.stderr == ""
        for option in re.findall(r"^ +(?:-[a-zA-Z], )?(--[a-z-]+)", output(lab.BUILD / program, "--help"), re.M):
            assert option in done.stdout.replace("\u2010", "-"), option
        if program == "penstockctl":
            for name in COMMANDS:
                assert f"penstockctl {name}" in done.stdout.replace("\u2010", "-"), name
    if shutil.which("mandoc"):
        done = subprocess.run(["mandoc", "-Tlint", page], capture_output=True, text=True, check=False)
        assert done.stdout + done.stderr == ""


def complete(script, program, *words):
    """What bash offers for the last word."""
    function = "_" + program.replace("-", "_")
    listed = " ".join(f"'{word}'" for word in (program, *words))
    text = (f"source {script}; COMP_WORDS=({listed}); COMP_CWORD={len(words)}; {function}; "
            "[ ${#COMPREPLY[@]} -eq 0 ] || printf '%s\\n' \"${COMPREPLY[@]}\"")
    return subprocess.check_output(["bash", "--norc", "-c", text], text=True, cwd=script.parent).split()


def test_bash_completes_commands_options_and_values(tmp_path):
    script = tmp_path / "penstockctl.bash"
    script.write_text(output(CTL, "--generate", "bash"))
    (tmp_path / "penstock.yaml").write_text("")
    (tmp_path / "folder").mkdir()
    ctl = lambda *words: complete(script, "penstockctl", *words)
    assert set(ctl("")) == {name.split()[0] for name in COMMANDS} | {"help"}
    for name in COMMANDS:
        if " " in name:
            assert name.split()[1] in ctl(name.split()[0], "")
            assert name.split()[1] in ctl("--socket", "list", name.split()[0], "")
        options = set(ctl(*name.split(), "--"))
        told = set(re.findall(r"^  (--[a-z-]+)", output(CTL, "help", *name.split()), re.M))
        assert told <= options and {"--json", "--help", "--socket"} <= options
    assert ctl("help", "dlq", "re") == ["replay"]
    assert ctl("events", "list", "--state", "de") == ["delivered", "dead"] or \
        set(ctl("events", "list", "--state", "de")) == {"delivered", "dead"}
    assert ctl("events", "list", "--limit", "") == ["all"]
    assert ctl("config", "check", "pen") == ["penstock.yaml", "penstockctl.bash"] or \
        "penstock.yaml" in ctl("config", "check", "pen")
    assert "penstock.yaml" in ctl("verify", "--body", "")
    assert ctl("status", "") == []


@pytest.mark.parametrize("program", PROGRAMS)
def test_completions_load_in_every_shell(program, tmp_path):
    for shell, words in (("bash", ["bash", "--norc", "-n"]), ("zsh", ["zsh", "-f", "-n"]),
                         ("fish", ["fish", "--no-config", "-n"])):
        script = tmp_path / f"{program}.{shell}"
        script.write_text(output(lab.BUILD / program, "--generate", shell))
        if shutil.which(shell):
            done = subprocess.run([*words, script], capture_output=True, text=True, check=False)
            assert done.returncode == 0 and done.stderr == "", shell
    assert {"--help", "--version"} <= set(complete(tmp_path / f"{program}.bash", program, "--"))


@pytest.mark.skipif(not shutil.which("fish"), reason="fish is not installed")
def test_fish_completes(tmp_path):
    script = tmp_path / "penstockctl.fish"
    script.write_text(output(CTL, "--generate", "fish"))

    def fish(line):
        text = subprocess.check_output(["fish", "--no-config", "-c", f"source {script}; complete -C '{line}'"],
                                       text=True, env={**os.environ, "HOME": str(tmp_path)})
        return {row.split("\t")[0] for row in text.splitlines()}

    assert {name.split()[0] for name in COMMANDS} <= fish("penstockctl ")
    assert fish("penstockctl events list --state de") == {"delivered", "dead"}
    assert "--limit" in fish("penstockctl events list --")
    assert fish("penstockctl dlq re") == {"replay"}


@pytest.mark.skipif(not shutil.which("zsh"), reason="zsh is not installed")
def test_zsh_completes(tmp_path):
    """Also with names that zsh keeps for itself (words, commands, options): a script must not use them."""
    script = tmp_path / "_penstockctl"
    script.write_text(output(CTL, "--generate", "zsh"))

    def zsh(*line):
        typed = " ".join(f"'{word}'" for word in ("penstockctl", *line))
        text = ("compadd() { shift; print -l -- $@ }; _files() { print FILES $@ }; "
                f"source {script}; words=({typed}); CURRENT=$#words; _penstockctl")
        done = subprocess.run(["zsh", "-f", "-c", text], capture_output=True, text=True, check=False)
        assert done.returncode == 0 and done.stderr == "", done.stderr
        return done.stdout.split()

    assert {name.split()[0] for name in COMMANDS} <= set(zsh(""))
    assert set(zsh("events", "list", "--state", "")) == {"pending", "retry", "delivered", "dead"}
    assert {"--limit", "--json"} <= set(zsh("events", "list", "--"))
    assert set(zsh("--socket", "list", "dlq", "")) == {"list", "show", "replay"}
    assert zsh("verify", "--body", "") == ["FILES"] and zsh("backup", "") == ["FILES", "-/"]


def test_generate_refuses_what_it_does_not_know():
    for program in PROGRAMS:
        assert subprocess.run([lab.BUILD / program, "--generate", "csh"], capture_output=True, check=False).returncode == 64
