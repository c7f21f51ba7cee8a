# QEMU's programs for its translator (tests/tcg of Debian's source package), for both architectures as far as they are made for
# them, as a tar archive that serves as a disk. Without test-3dnow: no processor knows those instructions any more.
need_tools xz=xz-utils python3=python3
need_compilers
archive=$(fetch_source qemu '*.orig.tar.xz')
tar -xJf "$archive" -C "$WORK" --strip-components=1 --wildcards '*/tests/tcg/*'
S=$WORK/tests/tcg
X=$S/i386
O=$WORK/disk/qemutests
mkdir -p "$O"/{32,64}
python3 "$X/test-mmx.py" "$X/x86.csv" "$WORK/test-mmx.h" MMX SSE SSE2 SSE3 SSSE3
# VAES is not among what the virtual CPU announces.
grep -v '"VAES+AVX"' "$X/x86.csv" >"$WORK/without-vaes.csv"
python3 "$X/test-avx.py" "$WORK/without-vaes.csv" "$WORK/test-avx.h"
# build BITS NAME ARGUMENT...: the flags that QEMU's Makefile.target uses.
build() {
  gcc "-m$1" -static -s -w -O0 -fno-strict-aliasing -I"$WORK" -I"$S/multiarch" -o "$O/$1/$2" "${@:3}" -lm -lpthread -lrt
}
name_of() { basename "$1" .c; }
for bits in 32 64; do
  for source in "$S"/multiarch/*.c "$S"/multiarch/linux/*.c; do
    helpers=()
    case $source in */float_*) helpers=("$S/multiarch/libs/float_helpers.c") ;; esac
    build $bits "$(name_of "$source")" "$source" ${helpers[@]+"${helpers[@]}"}
  done
  build $bits sha512-sse -msse4.1 -O3 "$S/multiarch/sha512.c"
  build $bits test-i386-bmi2 -O2 "$X/test-i386-bmi2.c"
done
for source in "$X"/test-i386-*.c; do
  options=()
  case $source in
    *-bmi2.c | *-ssse3.c | *-fprem.c) continue ;;
    *-sse-exceptions.c) options=(-msse4.1 -mfpmath=sse) ;;
    *-pcmpistri.c) options=(-msse4.2) ;;
  esac
  build 32 "$(name_of "$source")" ${options[@]+"${options[@]}"} "$source"
done
# All pairs of operands take minutes, and QEMU's Makefile runs them for SPEED=slow only. Each operand is one of 432, and 11 divides
# no part of that, so that every value of each field still meets every other.
sed 's/^        do_fprem(a.d, b.d);/        if (count % 11 == 0) do_fprem(a.d, b.d);/' "$X/test-i386-fprem.c" >"$WORK/test-i386-fprem.c"
! cmp -s "$X/test-i386-fprem.c" "$WORK/test-i386-fprem.c" || die "QEMU's test-i386-fprem.c is another than this recipe knows"
build 32 test-i386-fprem -I"$X" "$WORK/test-i386-fprem.c"
build 32 test-i386 -fno-pie -no-pie -z noexecstack -Wl,--no-warn-rwx-segments "$X/test-i386.c" "$X/test-i386-code16.S" "$X/test-i386-vm86.S"
build 32 hello-i386 -ffreestanding -nostdlib "$X/hello-i386.c"
build 64 test-x86_64 "$X/test-i386.c"
build 64 test-i386-ssse3 "$X/test-i386-ssse3.c"
build 64 test-mmx -masm=intel -O "$X/test-mmx.c"
build 64 test-avx -mavx -masm=intel -O "$X/test-avx.c"
for name in vsyscall noexec cmpxchg; do build 64 $name "$S/x86_64/$name.c"; done
find "$WORK/disk" -exec touch -h -d @1700000000 {} +
tar -C "$WORK/disk" -b 8 -cf "$WORK/qemutests.tar" --sort=name --owner=0 --group=0 qemutests
output "$WORK/qemutests.tar" qemutests64.tar
