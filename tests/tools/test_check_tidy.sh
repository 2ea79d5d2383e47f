#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# tools/check_tidy passes a clean tree and names each kind of fault, with what to use instead.
# shellcheck source=tests/tools/tool_test.sh disable=SC2317,SC1003  # functions called by passes and fails
. "$(dirname "$0")/tool_test.sh"

check_tidy()
{
	"$repository/tools/check_tidy" "$toy"
}

clean_tree()
{
	rm -rf "${toy:?}"/*
	mkdir -p "$toy/tools"
	plant dataplane/sources.mk 'BASE_SRC := \' '	dataplane/base/alloc.c \' '	dataplane/base/bytes.c'
	plant dataplane/base/alloc.c "$licence" 'void *take(size_t size) { return malloc(size); }'
	plant dataplane/base/bytes.c "$licence" '/* strcpy(a, b) in a comment, and assert( too */' \
		'const char *text = "sprintf(x), time(NULL)";' 'int x = obj->time(1) + runtime(2) + static_assert(3);'
	plant dataplane/engine/clock.c "$licence" 'long now(void) { return time(NULL); }'
	printf 'ENGINE_SRC := dataplane/engine/clock.c\n' >>"$toy/dataplane/sources.mk"
}

# refused NAME TEXT LINE...: a clean tree whose bytes.c has these lines as well must fail and say the text.
refused()
{
	local name=$1 text=$2
	shift 2
	clean_tree
	printf '%s\n' "$@" >>"$toy/dataplane/base/bytes.c"
	fails "$name" "$text" check_tidy
}

# The same in another file, which is listed.
refused_in()
{
	local file=$1 name=$2 text=$3
	shift 3
	clean_tree
	printf 'MORE_SRC := %s\n' "$file" >>"$toy/dataplane/sources.mk"
	plant "$file" "$licence" "$@"
	fails "$name" "$text" check_tidy
}

long_function()
{
	printf 'void f(void)\n{\n'
	for _ in $(seq "$1"); do printf '\tg();\n'; done
	printf '}\n'
}

clean_tree
passes 'a clean tree' check_tidy
for name in strcpy strcat sprintf vsprintf gets; do
	refused "$name" 'base/cursor.h' "void f(void) { $name(a, b); }"
done
refused 'atoi' 'dataplane/base/bytes.c:5: atoi' 'int n = atoi(text);'
refused 'strtok' 'bytes_split' 'char *p = strtok (text, ",");'
refused 'alloca' 'fixed bound' 'char *p = alloca(n);'
refused 'malloc outside alloc.c' 'base/alloc.h' 'void *p = malloc(3);'
refused 'realloc outside alloc.c' 'base/alloc.h' 'void *p = realloc(q, 3);'
refused 'time() outside the engine' 'the engine reads the clock' 'long t = time(NULL);'
refused 'gettimeofday' 'the engine reads the clock' 'gettimeofday(&tv, NULL);'
refused 'rand' 'base/random.h' 'int r = rand();'
refused 'FIXME, in a comment as well' 'open an issue' '/* FIXME later */'
refused 'XXX' 'open an issue' '/* XXX */'
refused '#if 0' 'git remembers' '#if 0' '#endif'
refused 'assert' 'use CHECK' 'void f(void) { assert(1); }'
refused 'time.h in a pure folder' 'has no clock' '#include <time.h>'
refused 'sys/socket.h in a pure folder' 'has no clock' '#include <sys/socket.h>'
refused 'the log in a pure folder' 'has no clock' '#include "base/log.h"'
refused 'white space at the end of a line' 'trailing-space' 'int y; '
refused 'a long line' '101 columns' "int $(printf 'y%.0s' {1..96});"
refused 'tabs count as eight columns' '105 columns' "$(printf '\t')int $(printf 'y%.0s' {1..92});"
mapfile -t lines < <(long_function 69)
refused 'a long function' '71 lines, at most 70' "${lines[@]}"
mapfile -t lines < <(printf 'int y;\n%.0s' {1..600})
refused 'a long file' 'at most 600' "${lines[@]}"
refused_in dataplane/verify/verify.c 'memcmp in verify' 'bytes_equal_constant_time' 'int x = memcmp(a, b, 3);'
refused_in dataplane/secrets/mac.c 'memcmp in secrets' 'bytes_equal_constant_time' 'int x = memcmp(a, b, 3);'
refused_in dataplane/verify/scheme_x.c 'unistd.h in a scheme' 'has no clock' '#include <unistd.h>'
refused_in dataplane/http/http.c 'unistd.h in http' 'has no clock' '#include <unistd.h>'

clean_tree
plant dataplane/base/bytes.c 'int x;'
fails 'no licence line' 'spdx' check_tidy
clean_tree
plant dataplane/base/lost.c "$licence"
fails 'a file nobody builds' 'lost.c:1: unlisted' check_tidy
clean_tree
printf 'MORE_SRC := dataplane/b.c dataplane/a.c\n' >>"$toy/dataplane/sources.mk"
fails 'a list that is not sorted' 'dataplane/a.c stands after dataplane/b.c' check_tidy
clean_tree
printf 'int x;' >>"$toy/dataplane/base/bytes.c"
fails 'no end of line at the end' 'no-newline' check_tidy
clean_tree
mapfile -t lines < <(long_function 68)
printf '%s\n' "${lines[@]}" >>"$toy/dataplane/base/bytes.c"
passes 'a function of exactly 70 lines' check_tidy
clean_tree
printf '\tX(%s) \\\n' "$(printf 'y%.0s' {1..120})" >>"$toy/dataplane/base/bytes.c"
passes 'a long row of a table' check_tidy

clean_tree
plant tools/tidy.allow 'dataplane/base/bytes.c allocation 1'
echo 'void *p = malloc(3);' >>"$toy/dataplane/base/bytes.c"
passes 'an exception that is listed' check_tidy
echo 'void *q = malloc(3);' >>"$toy/dataplane/base/bytes.c"
fails 'more than the exception allows' 'allows 1 of them' check_tidy
clean_tree
plant tools/tidy.allow 'dataplane/base/bytes.c allocation 1'
fails 'an exception no longer needed' 'lower the number from 1' check_tidy
tool_test_end
