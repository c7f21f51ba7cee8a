#!/bin/sh
# The benchmark programs on the host itself, behind the same prompt as a guest's shell. $1 = archive of the programs
set -e
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
tar -C "$folder" -xzf "$1"
"$folder/bin/busybox" true || {
  echo "this host cannot run these programs" >&2
  exit 1
}
set +e
echo "BOOT-OK native"
while printf '# ' && read -r line; do
  # A terminal would have echoed the line.
  echo
  eval "$(printf '%s' "$line" | sed "s#/bench/#$folder/bench/#g; s#/bin/busybox#$folder/bin/busybox#g; s#/tmp/data16#$folder/data16#g")"
done
