#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# Completions of the first word and of long options, from what `PROGRAM --help` lists.
#
# usage: packaging/man/completions.sh FOLDER PROGRAM...
set -eu

folder=$1
shift
for program in "$@"; do
	name=$(basename "$program")
	function=_$(echo "$name" | tr - _)
	words=$("$program" --help | sed -nE 's/^  ([a-z]+)( .*)?$/\1/p' | sort -u | tr '\n' ' ')
	options=$("$program" --help | grep -oE -e '--[a-z][a-z-]+' | sort -u | tr '\n' ' ')
	cat >"$folder/$name.bash" <<END
# bash completion for $name
$function()
{
	mapfile -t COMPREPLY < <(compgen -W '$words$options' -- "\${COMP_WORDS[COMP_CWORD]}")
}
complete -o default -F $function $name
END
	printf '#compdef %s\ncompadd -- %s%s\n_files\n' "$name" "$words" "$options" >"$folder/_$name"
	printf 'complete -c %s -a "%s%s"\n' "$name" "$words" "$options" >"$folder/$name.fish"
done
