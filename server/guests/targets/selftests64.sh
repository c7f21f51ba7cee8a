# Linux's own tests of x86 processors (tools/testing/selftests/x86 of Debian's kernel source), 64- and 32-bit programs, as a tar
# archive that serves as a disk: the guest unpacks /dev/sda.
need_tools make=make xz=xz-utils
need_compilers
archive=$(fetch linux-source-6.1:all)
# What the tests include of the kernel's tree, beside themselves.
dpkg-deb --fsys-tarfile "$archive" | tar -xO ./usr/src/linux-source-6.1.tar.xz | xz -dc |
  tar -x -C "$WORK" --strip-components=1 --wildcards '*/tools/testing/selftests/*.h' '*/tools/testing/selftests/*.mk' \
    '*/tools/testing/selftests/x86/*' '*/arch/x86/include/asm/desc_defs.h'
mkdir -p "$WORK/disk/selftests"
make -s -C "$WORK/tools/testing/selftests/x86" OUTPUT="$WORK/disk/selftests" CC='gcc -static -s -w' KHDR_INCLUDES= >&2
find "$WORK/disk" -exec touch -h -d @1700000000 {} +
tar -C "$WORK/disk" -b 8 -cf "$WORK/selftests.tar" --sort=name --owner=0 --group=0 selftests
output "$WORK/selftests.tar" selftests64.tar
