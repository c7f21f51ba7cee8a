# The benchmark programs in an initramfs with a shell on the serial console; sourced by targets/bench.sh and bench64.sh.

# bench_guest BITS ARCH NAME: outputs NAME-initrd, and NAME-programs.tgz to run the same files on the host.
bench_guest() {
  local busybox tree=$WORK/tree
  need_tools make=make gcc=gcc
  if [ "$1" = 32 ]; then
    echo 'int main(void) { return 0; }' >"$WORK/probe.c"
    gcc -m32 -static -o "$WORK/probe" "$WORK/probe.c" 2>/dev/null || install_packages gcc-multilib libc6-dev
  fi
  busybox=$(unpack "busybox-static:$2")
  mkdir -p "$tree"/{bin,bench,dev,proc,sbin,sys,tmp,root,usr/bin,usr/sbin}
  cp "$busybox/bin/busybox" "$tree/bin/busybox"
  install -m 755 "$HERE/initramfs/init" "$tree/init"
  make -s -C "$HERE/bench" BITS="$1" OUT="$tree/bench" >&2
  install -m 755 "$HERE/bench/run.sh" "$tree/bench/run.sh"
  pack_initramfs "$tree" "$WORK/initrd"
  output "$WORK/initrd" "$3-initrd"
  tar -C "$tree" -czf "$WORK/programs.tgz" bench bin/busybox
  output "$WORK/programs.tgz" "$3-programs.tgz"
}
