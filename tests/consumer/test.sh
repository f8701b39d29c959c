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

elf=$(cd "$here/../fuzz/corpus/elf" && pwd)/1MB.app1.elf
consume() { # consume FOLDER KINDS
    cmake -S "$here" -B "$work/$1" -DCMAKE_C_COMPILER="$cc" -DCMAKE_PREFIX_PATH="$prefix" \
        -DKINDS="$2" -DELF="$elf" >"$work/configure.log"
    cmake --build "$work/$1" >"$work/build.log"
}
consume consumer "shared;static"
"$work/consumer/consumer_shared"
"$work/consumer/consumer_static"
test "$(od -An -tx1 -N4 "$work/consumer/images/1MB.app1-user1.bin" | tr -d ' ')" = ea040001

# Only the static library needs libelf and zlib.
(export PKG_CONFIG_LIBDIR="$work/nothing" && consume shared-only shared &&
    ! consume static-only static 2>"$work/refusal.log")
"$work/shared-only/consumer_shared"
grep -q 'espimage::static: libelf or zlib' "$work/refusal.log"

# The .pc file names the prefix of the build; pkg-config moves it to where it was found.
export PKG_CONFIG_PATH="$libdir/pkgconfig"
# shellcheck disable=SC2046
"$cc" "$here/consumer.c" -o "$work/by-pc" \
    $(pkg-config --define-prefix --cflags --libs espimage) -Wl,-rpath,"$libdir"
"$work/by-pc"

# An absolute folder stays as it is.
cmake -S "$here/../.." -B "$work/absolute" -DCMAKE_C_COMPILER="$cc" -DBUILD_TESTING=OFF \
    -DCMAKE_INSTALL_PREFIX=/usr -DCMAKE_INSTALL_LIBDIR=/opt/lib >"$work/absolute.log"
test "$(PKG_CONFIG_PATH="$work/absolute" pkg-config --variable=libdir espimage)" = /opt/lib

# The archive shows nothing but the API, and any compiler and linker can use it.
if nm -g --defined-only "$libdir/libespimage.a" | grep -v ' espimage_' | grep ' [A-Z] '; then
    echo "visible in the archive without our prefix"
    exit 1
fi
nm "$libdir/libespimage.a" | grep -q 'T espimage_verify'
link_static() { # link_static COMPILER OPTION...: as another compiler would
    # shellcheck disable=SC2046
    "$@" "$here/consumer.c" -I"$prefix/include" "$libdir/libespimage.a" -o "$work/linked" \
        $(pkg-config --libs libelf zlib)
    "$work/linked"
}
if ! grep -q 'ESPIMAGE_SANITIZE:STRING=.' "$build/CMakeCache.txt" &&
    ! grep -q 'ESPIMAGE_COVERAGE:BOOL=ON' "$build/CMakeCache.txt"; then
    for other in gcc clang "clang -fuse-ld=lld" "gcc -flto" "clang -flto -fuse-ld=lld"; do
        # shellcheck disable=SC2086
        if command -v ${other%% *} >/dev/null &&
            { [ "${other%lld}" = "$other" ] || command -v ld.lld >/dev/null; }; then
            link_static $other
        fi
    done
fi

for file in bin/espimagetool share/man/man1/espimagetool.1 share/man/man5/espimage-format.5 \
    share/bash-completion/completions/espimagetool share/fish/vendor_completions.d/espimagetool.fish \
    share/zsh/vendor-completions/_espimagetool include/espimage/espimage.h; do
    test -s "$prefix/$file" || { echo "not installed: $file"; exit 1; }
done
objdump -p "$libdir/libespimage.so" | grep -Eq 'SONAME +libespimage.so.0.1$'
# Only our names are exported.
if nm -D --defined-only "$libdir/libespimage.so" |
    grep -Ev ' T espimage_[a-z0-9_]+@@ESPIMAGE_0.1$| A ESPIMAGE_0.1$'; then
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
