#!/bin/bash
# Prepares guests from Debian 12's packages in ${TABBOX_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/tabbox}/guests.
#
#   bash server/guests/make.sh [--force] TARGET...     `all` stands for every target; without a target: firmware default
#
# A finished target is done at once next time; a recipe that changed is run again. A target that fails does not keep the
# others from being built; the last line names those that failed. README.md lists the outputs.
set -euo pipefail
HERE=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
CACHE=${TABBOX_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/tabbox}
OUT=$CACHE/guests
ALL=(firmware default net sound graphics pae amd64 disk disk64 installer grub memtest bench bench64 ovmf selftests64 qemutests64)
TARGET=
. "$HERE/lib.sh"

usage() {
  printf 'usage: make.sh [--force] TARGET...\ntargets: %s all\noutput:  %s\n' "${ALL[*]}" "$OUT"
}

FORCE=
WANTED=()
for word; do
  case $word in
    --force) FORCE=1 ;;
    -h | --help) usage; exit 0 ;;
    all) WANTED+=("${ALL[@]}") ;;
    *)
      [ -f "$HERE/targets/$word.sh" ] || { usage >&2; die "unknown target '$word'"; }
      WANTED+=("$word")
      ;;
  esac
done
[ ${#WANTED[@]} -gt 0 ] || WANTED=(firmware default)

# The recipe of a target: everything whose change asks for a new build.
recipe() {
  local files=("$HERE/targets/$1.sh")
  case $1 in
    default | amd64) files+=("$HERE/lib.sh" "$HERE"/initramfs/*) ;;
    net) files+=("$HERE"/{lib,drivers}.sh "$HERE"/net/*) ;;
    sound | graphics) files+=("$HERE"/{lib,drivers}.sh "$HERE/$1"/* "$HERE/initramfs/modules") ;;
    bench | bench64) files+=("$HERE/lib.sh" "$HERE"/bench/* "$HERE"/initramfs/init) ;;
    disk | disk64) files+=("$HERE"/disk/*) ;;
  esac
  cat "${files[@]}" | sha256sum | cut -c1-64
}

up_to_date() {
  local stamp=$OUT/.stamps/$1 size name
  [ -z "$FORCE" ] && [ -f "$stamp" ] && [ "$(head -n 1 "$stamp")" = "$(recipe "$1")" ] || return 1
  while read -r size name; do
    [ "$(stat -c %s "$OUT/$name" 2>/dev/null)" = "$size" ] || return 1
  done < <(sed 1d "$stamp")
}

pending() {
  local target
  UNBUILT=()
  for target in "${WANTED[@]}"; do up_to_date "$target" || UNBUILT+=("$target"); done
}

mkdir -p "$OUT/.stamps" 2>/dev/null || die "cannot write to $OUT; set TABBOX_CACHE to a directory that you own"
pending
[ ${#UNBUILT[@]} -gt 0 ] || exit 0

# One builder at a time; a second one waits and then finds the work done.
exec 9>"$OUT/.lock"
flock -n 9 || { say 'waiting for another run that holds the lock'; flock 9; }
pending
for command in apt-get dpkg-deb; do
  command -v $command >/dev/null || die "needs $command: guests are built from Debian packages, on Debian or a system derived from it"
done
WORK=$CACHE
OWNER=$(stat -c %u:%g "$CACHE")
# Leaves no work directory behind, nor, when root builds in someone's cache, files they cannot replace.
clean_up() {
  [ "$WORK" = "$CACHE" ] || rm -rf "$WORK"
  ! is_root || [ "$OWNER" = 0:0 ] || chown -R "$OWNER" "$CACHE"
}
trap clean_up EXIT
apt_setup
FAILED=()
for TARGET in ${UNBUILT[@]+"${UNBUILT[@]}"}; do
  say "building $TARGET"
  began=$SECONDS
  WORK=$(mktemp -d "$CACHE/work.XXXXXX")
  rm -f "$OUT/.stamps/$TARGET"
  # A subshell, so that one recipe's functions and directory do not leak into the next. Not as a condition, where bash
  # would ignore `set -e` inside it.
  set +e
  (
    set -e
    . "$HERE/targets/$TARGET.sh"
  ) 9>&-
  status=$?
  set -e
  if [ $status = 0 ]; then
    { recipe "$TARGET"; cat "$WORK/outputs"; } >"$OUT/.stamps/.$TARGET"
    mv "$OUT/.stamps/.$TARGET" "$OUT/.stamps/$TARGET"
    { [ ! -f "$WORK/packages" ] || sort -u "$WORK/packages"; } >"$OUT/.stamps/packages-$TARGET"
    say "$TARGET ready in $((SECONDS - began)) s"
  else
    FAILED+=("$TARGET")
    say "$TARGET failed (status $status) after $((SECONDS - began)) s"
  fi
  rm -rf "$WORK"
done
WORK=$CACHE
[ ${#FAILED[@]} = 0 ] || die "failed: ${FAILED[*]}"
