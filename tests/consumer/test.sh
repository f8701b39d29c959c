#!/bin/sh
# SPDX-License-Identifier: MIT
# test.sh BUILD_DIR CC: installs the build into a new folder and uses it as a stranger would: by
# find_package, by pkg-config, and the program from another folder.
set -eu
build=$1
cc=$2
here=$(dirname "$0")
here=$(cd "$here" && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
prefix=$work/prefix

cmake --install "$build" --prefix "$prefix" >"$work/install.log"
libdir=$(dirname "$(find "$prefix" -name libespimage.so)")

cmake -S "$here" -B "$work/consumer" -DCMAKE_C_COMPILER="$cc" -DCMAKE_PREFIX_PATH="$prefix" \
    >"$work/configure.log"
cmake --build "$work/consumer" >"$work/build.log"
"$work/consumer/consumer_shared"
"$work/consumer/consumer_static"

# The .pc file names the prefix of the build; pkg-config moves it to where it was found.
export PKG_CONFIG_PATH="$libdir/pkgconfig"
# shellcheck disable=SC2046
"$cc" "$here/consumer.c" -o "$work/by-pc" \
    $(pkg-config --define-prefix --cflags --libs espimage) -Wl,-rpath,"$libdir"
"$work/by-pc"

for file in bin/espimagetool share/man/man1/espimagetool.1 share/man/man5/espimage-format.5 \
    share/bash-completion/completions/espimagetool share/fish/vendor_completions.d/espimagetool.fish \
    share/zsh/vendor-completions/_espimagetool include/espimage/espimage.h; do
    test -s "$prefix/$file" || { echo "not installed: $file"; exit 1; }
done
objdump -p "$libdir/libespimage.so" | grep -q 'SONAME.*libespimage.so.0'
# Only our names are exported.
if nm -D --defined-only "$libdir/libespimage.so" | grep -v ' espimage_'; then
    echo "exported without our prefix"
    exit 1
fi
# An empty element of a run path is the current directory.
if readelf -dW "$prefix/bin/espimagetool" | grep -E '\((RPATH|RUNPATH)\).*(\[:|::|:\])'; then
    echo "the current directory is in the run path"
    exit 1
fi
# The server module is found where it was installed: the refusal comes from it.
"$prefix/bin/espimagetool" serve --bind 203.0.113.1 "$here/../fuzz/corpus/elf/1MB.app1.elf" \
    >"$work/serve.log" 2>&1 || true
grep -q 'cannot listen on 203.0.113.1' "$work/serve.log"
