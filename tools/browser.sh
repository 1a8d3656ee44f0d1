#!/bin/sh
# Bring the browser that the tests of the page drive: Debian's chromium, unless one is there already.
set -eu
for name in chromium chromium-browser google-chrome; do
    command -v "$name" >/dev/null && exit 0
done
as_root=""
[ "$(id -u)" = 0 ] || as_root="sudo -n"
if command -v apt-get >/dev/null && $as_root true 2>/dev/null; then
    echo "browser: installing Debian's chromium for the tests of the page" >&2
    export DEBIAN_FRONTEND=noninteractive
    $as_root apt-get update -qq && $as_root apt-get install -y -qq --no-install-recommends chromium fonts-dejavu-core >/dev/null || true
fi
command -v chromium >/dev/null || echo "browser: no chromium; the tests of the page will not run, and will say so" >&2
