#!/bin/sh
# Tests of what is built and installed rather than of what it computes: the
# header alone, exported symbols, installation, configure, man pages,
# completions. Called by tests/run.sh; BUILD, CC, MAKE, SANITIZE, PROGRAMS are set.
# Each case is a function case_NAME: 0 passed, 77 skipped (it says why), else failed.
set -u
: "${BUILD:=build}" "${CC:=cc}" "${MAKE:=make}" "${SANITIZE:=}" "${PROGRAMS:=}"
cd "$(dirname "$0")/../.." || exit 2
root=$PWD
case $BUILD in
/*) build=$BUILD ;;
*) build=$root/$BUILD ;;
esac
bin=$build/bin
tmp=$(mktemp -d) || exit 2
trap 'rm -rf "$tmp"' EXIT
trap 'exit 2' HUP INT TERM

has() {
	command -v "$1" >/dev/null 2>&1
}

skip() {
	echo "$*"
	return 77
}

# same EXPECTED-FILE FOUND-FILE
same() {
	diff -u "$1" "$2"
}

# make as the caller was made, in silence unless it fails
quiet_make() {
	"$MAKE" -s "BUILD=$BUILD" "CC=$CC" "SANITIZE=$SANITIZE" "$@" >"$tmp/make.log" 2>&1 || {
		cat "$tmp/make.log"
		return 1
	}
}

# ---- the header and the libraries -------------------------------------------

case_header_c11() {
	echo '#include "frcnn.h"' >"$tmp/header.c"
	$CC -std=c11 -pedantic -Wall -Wextra -Werror -fsyntax-only -Ilib "$tmp/header.c"
}

case_header_cxx() {
	echo 'int main() { return 0; }' >"$tmp/probe.cc"
	$CC -x c++ -fsyntax-only "$tmp/probe.cc" 2>/dev/null || skip "no C++ compiler behind $CC" || return
	echo '#include "frcnn.h"' >"$tmp/header.cc"
	$CC -x c++ -std=c++11 -pedantic -Wall -Wextra -Werror -fsyntax-only -Ilib "$tmp/header.cc"
}

case_exports_are_the_header() {
	$CC -E -P '-DFRCNN_API=EXPORTED_HERE' -x c lib/frcnn.h | tr '\n' ' ' | tr ';' '\n' |
		sed -n 's/.*EXPORTED_HERE[^(]*[ *]\(frcnn_[a-z0-9_]*\)(.*/\1/p' | sort >"$tmp/header"
	[ -s "$tmp/header" ] || return 1
	# A sanitizer adds names of its own.
	nm -D --defined-only "$build/libfrcnn.so" | awk '$2 != "A" { print $3 }' |
		if [ -n "$SANITIZE" ]; then grep '^frcnn_'; else cat; fi | sort >"$tmp/exports"
	same "$tmp/header" "$tmp/exports"
}

case_symbols_are_prefixed() {
	nm -g --defined-only "$build/libfrcnn.a" | awk 'NF == 3 { print $3 }' |
		if [ -n "$SANITIZE" ]; then grep -v -e '^__' -e '^_Z'; else cat; fi | grep -v '^frcnn_' >"$tmp/others"
	cat "$tmp/others"
	[ ! -s "$tmp/others" ]
}

# No library function prints, exits or reads the environment.
case_library_is_silent() {
	nm -u "$build/libfrcnn.a" | sed -n 's/^ *U //p' | sort -u |
		grep -x -E 'v?printf|__v?printf_chk|puts|putchar|perror|stdout|stderr|stdin|_?exit|_Exit|quick_exit|(secure_)?getenv|setenv|setlocale' \
			>"$tmp/calls"
	cat "$tmp/calls"
	[ ! -s "$tmp/calls" ]
}

case_every_source_is_listed() {
	"$MAKE" -s --no-print-directory list-sources ISA_X86=yes HAVE_CRITERION=yes | sort -u >"$tmp/listed"
	find lib bin tests -name '*.c' ! -path tests/fuzz/replay.c ! -path 'tests/golden/*' | sort >"$tmp/found"
	same "$tmp/listed" "$tmp/found"
}

# As on a machine of another kind, or with a compiler that knows no AVX-512.
case_links_without_x86_kernels() {
	kernels=$("$MAKE" -s --no-print-directory list-sources ISA_X86=no | sed -n "s|^\(lib/kernels/.*\)\.c\$|$tmp/plain/\1.o|p")
	# shellcheck disable=SC2086 # one word an object
	quiet_make "BUILD=$tmp/plain" ISA_X86=no $kernels || return
	cat >"$tmp/names.c" <<'C'
#include "frcnn.h"
#include "kernels/kernels.h"
#include <stdio.h>
int main(void)
{
	printf("%s, %s\n", frcnn_kernels_built(), frcnn_cpu_available());
	return frcnn_kernels_get(NULL) != &frcnn_kernels_c;
}
C
	# shellcheck disable=SC2086
	$CC ${SANITIZE:+-fsanitize=$SANITIZE} -Ilib -o "$tmp/names" "$tmp/names.c" $kernels -lm || return
	echo "c reference, c reference" >"$tmp/expected"
	"$tmp/names" >"$tmp/found" && same "$tmp/expected" "$tmp/found"
}

# ---- installation ---------------------------------------------------------------

case_install_and_uninstall() {
	mkdir -p "$tmp/dest/opt/x/share/frcnn"
	echo mine >"$tmp/dest/opt/x/share/frcnn/kept"
	quiet_make install PREFIX=/opt/x "DESTDIR=$tmp/dest" || return
	(cd "$tmp/dest/opt/x" && find . -type f -o -type l | sort) >"$tmp/installed"
	for file in include/frcnn.h lib/libfrcnn.a lib/libfrcnn.so lib/libfrcnn.so.0 lib/pkgconfig/frcnn.pc \
		share/zsh/site-functions/_frcnn $(cd man && for page in *.[1-8]; do echo "share/man/man${page##*.}/$page"; done) \
		$(for p in $PROGRAMS; do
			echo "bin/$p" "share/bash-completion/completions/$p" "share/fish/vendor_completions.d/$p.fish" "share/man/man1/$p.1"
		done) $(cd share && find . -type f ! -name '.*' | sed 's|^\./|share/frcnn/|'); do
		grep -q -x -F "./$file" "$tmp/installed" || {
			echo "not installed: $file"
			return 1
		}
	done
	quiet_make uninstall PREFIX=/opt/x "DESTDIR=$tmp/dest" || return
	(cd "$tmp/dest" && find . -type f -o -type l) >"$tmp/left"
	echo ./opt/x/share/frcnn/kept >"$tmp/expected"
	same "$tmp/expected" "$tmp/left"
}

case_installed_library_is_usable() {
	has pkg-config || skip "no pkg-config" || return
	quiet_make install "PREFIX=$tmp/usr" DESTDIR= || return
	cat >"$tmp/user.c" <<'C'
#include <frcnn.h>
#include <stdio.h>
#include <string.h>
int main(void)
{
	struct frcnn_error err = {0};
	struct frcnn_image image = {0};
	int status = frcnn_image_decode("neither", 7, NULL, &image, &err);
	printf("%d %d\n", status < 0 && err.message[0] != '\0', strcmp(frcnn_version(), FRCNN_VERSION));
	return 0;
}
C
	PKG_CONFIG_PATH=$tmp/usr/lib/pkgconfig
	export PKG_CONFIG_PATH
	echo "1 0" >"$tmp/expected"
	sanitize=${SANITIZE:+-fsanitize=$SANITIZE}
	# shellcheck disable=SC2046,SC2086
	$CC $sanitize -o "$tmp/user" "$tmp/user.c" $(pkg-config --cflags --libs frcnn) &&
		LD_LIBRARY_PATH=$tmp/usr/lib "$tmp/user" >"$tmp/found" && same "$tmp/expected" "$tmp/found" || return
	rm "$tmp/usr/lib/"libfrcnn.so*
	# shellcheck disable=SC2046,SC2086
	$CC $sanitize -o "$tmp/user" "$tmp/user.c" $(pkg-config --static --cflags --libs frcnn) &&
		"$tmp/user" >"$tmp/found" && same "$tmp/expected" "$tmp/found"
}

case_installed_detect_finds_its_model() {
	[ -x "$bin/frcnn-detect" ] || return 1
	quiet_make install "PREFIX=$tmp/usr" DESTDIR= || return
	image=$(find "$root/share/images" -type f | sort | head -n 1)
	(cd "$tmp" && "$tmp/usr/bin/frcnn-detect" "$image") >"$tmp/found" || return
	grep -q '"score":' "$tmp/found"
}

# ---- configure ---------------------------------------------------------------------

case_configure_refuses() {
	for option in --unknown --prefix=relative '--prefix=/with blank' --cc=no-such-compiler-here stray; do
		status=0
		sh ./configure "$option" >"$tmp/out" 2>"$tmp/err" || status=$?
		[ "$status" = 2 ] && [ ! -s "$tmp/out" ] && [ "$(wc -l <"$tmp/err")" = 1 ] || {
			echo "configure $option: status $status"
			cat "$tmp/out" "$tmp/err"
			return 1
		}
	done
}

# In a copy: config.mk of this tree stays as it is.
case_configure_writes_config() {
	mkdir "$tmp/tree" && cp configure "$tmp/tree/" || return
	(cd "$tmp/tree" && sh ./configure "--cc=$CC" --prefix=/opt/y --without-criterion --without-cuda --without-openblas) \
		>"$tmp/out" 2>&1 || {
		cat "$tmp/out"
		return 1
	}
	grep -q -x 'PREFIX = /opt/y' "$tmp/tree/config.mk" && grep -q -x 'HAVE_CRITERION = no' "$tmp/tree/config.mk" &&
		grep -q -x 'NVCC = ' "$tmp/tree/config.mk" && grep -q 'unit tests are not built' "$tmp/out" &&
		grep -q 'jpeg_std_error' "$tmp/tree/config.log"
}

# ---- man pages and completions ---------------------------------------------------------

case_man_pages_lint() {
	has mandoc || skip "no mandoc" || return
	mandoc -T lint -W warning man/*.[1-8]
}

case_man_pages_exist() {
	for program in $PROGRAMS; do
		[ -f "man/$program.1" ] || {
			echo "no man page: $program"
			return 1
		}
	done
}

. tests/build/options.sh

# ---- the runner ------------------------------------------------------------------------

passed=0 failed=0 skipped=0
for name in $(sed -n 's/^case_\([a-z0-9_]*\)() {$/\1/p' tests/build/run.sh tests/build/options.sh); do
	status=0
	("case_$name") >"$tmp/output" 2>&1 || status=$?
	case $status in
	0) passed=$((passed + 1)) ;;
	77)
		skipped=$((skipped + 1))
		echo "skipped $name: $(cat "$tmp/output")"
		;;
	*)
		failed=$((failed + 1))
		echo "FAILED $name:"
		sed 's/^/    /' "$tmp/output"
		;;
	esac
	find "$tmp" -mindepth 1 -delete
done
echo "build: $passed passed, $failed failed, $skipped skipped"
[ "$failed" = 0 ]
