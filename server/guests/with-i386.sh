#!/bin/bash
# Runs a command while the kernel hands i386 programs to QEMU's user-mode emulation: unshare --mount bash with-i386.sh COMMAND...
#
# binfmt_misc is mounted in the caller's private mount namespace. What is registered there counts for the whole host, but
# only where the kernel refuses i386 programs is this called, and the registration goes when the command ends. With the
# flag F the emulator need not exist in a chroot. Format: Linux, Documentation/admin-guide/binfmt-misc.rst; magic: the ELF
# header's EI_CLASS 1, EI_DATA 1, e_type 2 or 3, e_machine 3.
set -euo pipefail
registry=/proc/sys/fs/binfmt_misc
name=tabbox-i386
[ -e $registry/register ] || mount -t binfmt_misc binfmt_misc $registry
[ ! -e $registry/$name ] || echo -1 >$registry/$name
trap 'echo -1 >$registry/$name' EXIT
trap 'exit 1' INT TERM HUP
magic='\x7fELF\x01\x01\x01\x00\x00\x00\x00\x00\x00\x00\x00\x00\x02\x00\x03\x00'
mask='\xff\xff\xff\xff\xff\xfe\xfe\x00\xff\xff\xff\xff\xff\xff\xff\xff\xfe\xff\xff\xff'
printf '%s' ":$name:M::$magic:$mask:$(command -v qemu-i386-static):F" >$registry/register
"$@"
