"""Compares the commands that READMEs name with the programs: that subcommands, options and files are there.

usage: readme_commands.py DIRECTORY_OF_AUTHLY README…

Read are the blocks of shell and what stands between backquotes; known are authly, authly-admin and aws. No command is run.
"""

import re
import shlex
import subprocess
import sys
from pathlib import Path

from awscli.clidriver import create_clidriver

ROOT = Path(__file__).resolve().parents[1]
programs, readmes = Path(sys.argv[1]), [Path(it) for it in sys.argv[2:]]
problems = []
checked = 0

# What the AWS CLI has in version 2 only; the one here is version 1.
AWS_OPTIONS_OF_VERSION_2 = {"cli-binary-format"}


def lines(block):
    """The lines of a block of shell, without what is input of a command."""
    end = None
    for line in block.replace("\\\n", " ").splitlines():
        if end is None:
            yield line
            if document := re.search(r"<<-?'?(\w+)'?", line):
                end = document[1]
        elif line == end:
            end = None


def commands(line):
    """The commands of a line, as words, without assignments before them."""
    lexer = shlex.shlex(line, posix=True, punctuation_chars=True)
    lexer.whitespace_split = True
    command = []
    for word in [*lexer, ";"]:
        if set(word) <= set("();<>|&"):
            if command:
                yield command
            command = []
        elif command or not re.match(r"\w+=", word):
            command.append(word)


def check_options(command, words, has_option):
    for word in words:
        if word.startswith("--") and not has_option(word.removeprefix("--").partition("=")[0]):
            problems.append(f"{' '.join(command)}: there is no {word}")


def help_of(program, *subcommands):
    result = subprocess.run([programs / program, *subcommands, "--help"], capture_output=True, text=True)
    return result.stdout if result.returncode == 0 else ""


def check_authly(command):
    program, path = Path(command[0]).name, []
    words = iter(command[1:])
    text = help_of(program)
    for word in words:
        listed = re.search(r"^Commands:\n((?:  .*\n)+)", text, re.MULTILINE)
        subcommands = re.findall(r"^  ([\w-]+)", listed[1], re.MULTILINE) if listed else []
        if word.startswith("-"):
            if re.search(rf"{word} <", text):
                next(words, None)
        elif word in subcommands:
            path.append(word)
            text = help_of(program, *path)
        elif subcommands and word != "…":
            problems.append(f"{' '.join(command)}: there is no command {word}")
            return
    check_options(command, command, lambda option: re.search(rf"--{option}\b", text))


aws = create_clidriver()


def check_aws(command):
    table = aws._get_command_table()
    words = [word for word in command[1:] if not word.startswith("-")]
    for word in words[:2]:
        if word not in table:
            problems.append(f"{' '.join(command)}: there is no command {word}")
            return
        last, table = table[word], getattr(table[word], "_get_command_table", dict)()
    known = set(last.arg_table) | set(aws._get_argument_table()) | AWS_OPTIONS_OF_VERSION_2
    check_options(command, command, known.__contains__)


def check_command(command):
    """Whether it is of a program that is known."""
    for word in command:
        if re.match(r"(deploy|tests|targets|migrations)/", word) and not (ROOT / word).exists():
            problems.append(f"{' '.join(command)}: there is no file {word}")
    program = Path(command[0]).name
    if program == "aws":
        check_aws(command)
    elif program in ("authly", "authly-admin"):
        check_authly(command)
    else:
        return False
    return True


for readme in readmes:
    text = readme.read_text()
    blocks = re.findall(r"^```sh\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
    prose = re.sub(r"^```.*?^```$", "", text, flags=re.MULTILINE | re.DOTALL)
    quoted = [code.replace("\n", " ") for code in re.findall(r"`([^`]+)`", prose)]
    of_prose = [code for code in quoted if re.match(r"(authly|authly-admin|aws)\s", code)]
    for line in [*(line for block in blocks for line in lines(block)), *of_prose]:
        checked += sum(check_command(command) for command in commands(line))
    for link in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", prose):
        if not (readme.parent / link).exists():
            problems.append(f"{readme}: there is no file {link}")

if not checked:
    problems.append("no command was found")
if problems:
    sys.exit("\n".join(problems))
print(f"{checked} commands")
