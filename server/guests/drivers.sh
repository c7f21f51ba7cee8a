# For initramfs archives that are to be beside the default guest's: more of its kernel's drivers, and programs with what they
# are linked to. Sourced by targets.

# add_drivers MODULE...: puts drivers of the unpacked kernel package $kernel into $tree, with everything they depend on.
add_drivers() {
  local release modules
  release=$(basename "$kernel"/boot/vmlinuz-*)
  release=${release#vmlinuz-}
  modules=lib/modules/$release
  mkdir -p "$tree/$modules" "$WORK/all/$modules"
  host_applet depmod -b "$kernel" "$release"
  driver_files "$kernel/$modules" "$@" >"$WORK/drivers"
  [ -s "$WORK/drivers" ] || die "the kernel has none of $*"
  (cd "$kernel/$modules" && xargs cp --parents -t "$tree/$modules") <"$WORK/drivers"
  # The list of dependencies covers the default guest's drivers, too: it takes the place of theirs.
  (cd "$kernel/$modules" && driver_files . "$@" $(grep -v '^#' "$HERE/initramfs/modules") | xargs cp --parents -t "$WORK/all/$modules")
  cp "$kernel/$modules"/modules.{builtin,builtin.modinfo,order} "$WORK/all/$modules/"
  host_applet depmod -b "$WORK/all" "$release"
  cp "$WORK/all/$modules"/modules.{dep,alias} "$tree/$modules/"
}

# driver_files FOLDER MODULE...: the files that drivers consist of, by the list of dependencies there.
driver_files() {
  local module folder=$1
  shift
  for module; do
    awk -v name="$module.ko" -F '[: ]+' '{ n = split($1, part, "/") } part[n] == name { for (i = 1; i <= NF; i++) if ($i != "") print $i }' \
      "$folder/modules.dep"
  done | sort -u
}

# add_libraries PACKAGE:FILE...: shared libraries for i386, and their loader.
add_libraries() {
  local library
  mkdir -p "$tree/lib/i386-linux-gnu"
  for library; do
    cp -L "$(find "$(unpack "${library%%:*}:i386")" -name "${library##*:}" | head -n 1)" "$tree/lib/i386-linux-gnu/"
  done
  cp -L "$(find "$(unpack libc6:i386)" -name 'ld-linux.so.2' | head -n 1)" "$tree/lib/ld-linux.so.2"
}
