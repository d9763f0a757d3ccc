#!/bin/sh
# Fetches the interpreters that a stable distribution does not have yet, for the tests: CPython 3.14 and 3.15, and debug
# builds of 3.13 to 3.15, with their headers and shared libraries, from Debian's suite forky.
#
#   sh tests/interpreters.sh        puts them into ${XDG_CACHE_HOME:-~/.cache}/heaptide-tests/forky, where the tests look
#
# Neither root nor chroot: the packages are downloaded by an apt of its own and only unpacked. What is unpacked comes
# with its own C library, so each interpreter is made to be started by that library's loader and to look for libraries
# beside it; then it is a program like any other. Does nothing if all is there. If it cannot be done, one line says why
# and the exit status is 1: the tests of these versions are skipped then.
set -eu
exec < /dev/null
suite=forky
mirror=${HEAPTIDE_TESTS_MIRROR:-http://deb.debian.org/debian}
wanted="python3.14 python3.15 python3.13-dbg python3.14-dbg python3.15-dbg"
# Each version's headers and shared library, for programs that embed it.
wanted="$wanted libpython3.13-dev libpython3.14-dev libpython3.15-dev"

cache=${XDG_CACHE_HOME:-$HOME/.cache}/heaptide-tests
root=$cache/$suite
# What the tree was made from; anything else is made anew.
recipe="$(cksum < "$0") $mirror"
[ "$(cat "$root/recipe" 2> /dev/null)" = "$recipe" ] && exit 0

give_up() {
    echo "no interpreters from $suite: $*; the tests of their versions are skipped"
    exit 1
}

for command in apt-get apt-cache dpkg dpkg-deb cksum; do
    command -v $command > /dev/null || give_up "no $command"
done
architecture=$(dpkg --print-architecture)
keyring=/usr/share/keyrings/debian-archive-keyring.gpg
[ -f $keyring ] || give_up "no $keyring to check the packages with (package debian-archive-keyring)"

mkdir -p "$cache"
work=$(mktemp -d "$cache/$suite.XXXXXX")
trap 'rm -rf "$work"' EXIT INT TERM
log=$cache/$suite.log
state=$work/apt
mkdir -p "$state/lists/partial" "$state/archives/partial" "$work/root"
: > "$state/status"
echo "deb [signed-by=$keyring] $mirror $suite main" > "$state/sources.list"

# The machine's own configuration stays in force (a proxy, say), but for where things are. Nothing counts as installed,
# so that everything that is needed is downloaded, the C library first of all.
apt() {
    tool=$1
    shift
    "$tool" -q \
        -o "Dir::State=$state" -o "Dir::State::status=$state/status" -o "Dir::State::lists=$state/lists" \
        -o "Dir::Cache=$state" -o "Dir::Cache::archives=$state/archives" \
        -o "Dir::Etc::SourceList=$state/sources.list" -o Dir::Etc::SourceParts=/dev/null \
        -o Dir::Etc::Preferences=/dev/null -o Dir::Etc::PreferencesParts=/dev/null \
        -o "APT::Architecture=$architecture" -o "APT::Architectures=$architecture" -o APT::Sandbox::User= \
        -o APT::Install-Recommends=false -o Acquire::Languages=none -o Acquire::Check-Valid-Until=false \
        -o Debug::NoLocking=true "$@"
}

apt apt-get -o APT::Update::Error-Mode=any update > "$log" 2>&1 || give_up "apt-get update failed (see $log)"
packages=
for package in $wanted; do
    if apt apt-cache show "$package" > /dev/null 2>&1; then
        packages="$packages $package"
    else
        echo "$suite has no $package (any more)"
    fi
done
[ -n "$packages" ] || give_up "$mirror has none of them"
# shellcheck disable=SC2086
apt apt-get -y install --download-only $packages patchelf >> "$log" 2>&1 ||
    give_up "their packages could not be downloaded (see $log)"
for package in "$state/archives"/*.deb; do
    dpkg-deb -x "$package" "$work/root" >> "$log" 2>&1 || give_up "$package could not be unpacked (see $log)"
done

# Compilers, static libraries, debug information and texts are half of it, and not needed.
rm -rf "$work/root/usr/lib/gcc" "$work/root/usr/lib/debug" "$work/root/usr/libexec/gcc" "$work/root/usr/share/doc" "$work/root/usr/share/man"
find "$work/root" -name '*.a' -exec rm -f {} +
rm -rf "$root"
mv "$work/root" "$root"
libraries=
for loader in "$root"/usr/lib/*/ld-linux-*.so.*; do
    libraries=${loader%/*}
done
[ -x "$loader" ] || give_up "there is no loader in $root"
edit() {
    "$loader" --library-path "$libraries" "$root/usr/bin/patchelf" "$@" >> "$log" 2>&1 ||
        give_up "patchelf failed (see $log)"
}
for python in "$root"/usr/bin/python3.*[0-9] "$root"/usr/bin/python3.*[0-9]d; do
    [ -f "$python" ] && [ ! -L "$python" ] || continue
    # RPATH, not RUNPATH: that holds for the libraries of extension modules too. The two in one call, or the other way
    # round, give a program that ends with a segmentation fault (patchelf 0.18).
    edit --force-rpath --set-rpath "$libraries" "$python"
    edit --set-interpreter "$loader" "$python"
    version=$("$python" -I -c 'import ctypes, ssl, sys; print(sys.version.split()[0])' 2>> "$log") ||
        give_up "$python does not run (see $log)"
    # As an installation would: or the tests, some of which write what they compile and some do not, make each other's
    # interpreters start in another way, and all of them slowly.
    "$python" -I -m compileall -q -x '/(test|idlelib|turtledemo)/' "$root/usr/lib/python${version%.*}" >> "$log" 2>&1 ||
        give_up "$python does not compile its library (see $log)"
    echo "$python: $version"
done
echo "$recipe" > "$root/recipe"
