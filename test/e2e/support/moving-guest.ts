/**
 * A guest of one sector: 640 x 480 in 32 bits, a pattern all over, and in it a picture that moves with each timer tick: a
 * film, and from the first key on something drawn that scrolls, in colours of text.
 */
import { bootFloppy } from './boot-floppy.ts';

export const [WIDTH, HEIGHT] = [640, 480];
export const AREA = { x: 101, y: 90, width: 320, height: 240 };

/** 0xrrggbb of the pattern; the lower half of the words that a multiplication makes. */
export const patternAt = (x: number, y: number): number =>
  Math.imul((y * WIDTH + x) >> 2, 0x9e3779b1) >>> 31 ? 0xc0c0c0 : 0x101018;

/** 0xrrggbb of the moving picture at tick `t`, without the noise in its lowest bits. */
export const movingAt = (x: number, y: number, t: number): number =>
  (((x + t * 3) & 0xff) << 16) | (((y + t) & 0xff) << 8) | ((x + y) & 0xff);

/** What is drawn, and on what: 0xrrggbb. */
export const [INK, PAPER] = [0xffff55, 0x0000aa];

/** Whether there is ink in the drawn picture at tick `t`. */
export const isInkAt = (x: number, y: number, t: number): boolean =>
  Math.imul(((y + t) * WIDTH + x) >> 2, 0x9e3779b1) >>> 31 === 1;

const SOURCE = `
  .code16
  .globl _start
_start:
  xorw %ax, %ax
  movw %ax, %ds
  movw %ax, %es
  movw %ax, %ss
  movw $0x7c00, %sp
  movw $0x4f01, %ax
  movw $0x4142, %cx
  movw $0x8000, %di
  int $0x10
  movw $0x4f02, %ax
  movw $0x4142, %bx
  int $0x10
  inb $0x92, %al
  orb $2, %al
  outb %al, $0x92
  cli
  lgdtl table
  movl %cr0, %eax
  orb $1, %al
  movl %eax, %cr0
  jmp 1f
1: movw $8, %bx
  movw %bx, %fs
  andb $0xfe, %al
  movl %eax, %cr0
  sti
  movl 0x8028, %esi
  xorl %ecx, %ecx
2: movl %ecx, %eax
  shrl $2, %eax
  imull $0x9e3779b1, %eax, %eax
  movl $0x101018, %edx
  testl %eax, %eax
  jns 3f
  movl $0xc0c0c0, %edx
3: movl %edx, %fs:(%esi,%ecx,4)
  incl %ecx
  cmpl $${WIDTH * HEIGHT}, %ecx
  jb 2b
frame:
  movl 0x46c, %eax
4: hlt
  cmpl 0x46c, %eax
  je 4b
  incl %ebp
  movl $${AREA.y}, %ecx
row:
  imull $${WIDTH}, %ecx, %edi
  movl $${AREA.x}, %ebx
column:
  movw 0x41a, %ax
  cmpw 0x41c, %ax
  jne drawn
  leal (%ebp,%ebp,2), %eax
  addl %ebx, %eax
  shll $16, %eax
  leal (%ecx,%ebp), %edx
  movb %dl, %ah
  leal (%ebx,%ecx), %edx
  movb %dl, %al
  imull $1103515245, noise, %edx
  addl $12345, %edx
  movl %edx, noise
  shrl $12, %edx
  andl $0x070707, %edx
  xorl %edx, %eax
  andl $0xffffff, %eax
store:
  leal (%edi,%ebx), %edx
  movl %eax, %fs:(%esi,%edx,4)
  incl %ebx
  cmpl $${AREA.x + AREA.width}, %ebx
  jb column
  incl %ecx
  cmpl $${AREA.y + AREA.height}, %ecx
  jb row
  jmp frame
drawn:
  leal (%ecx,%ebp), %eax
  imull $${WIDTH}, %eax, %eax
  addl %ebx, %eax
  shrl $2, %eax
  imull $0x9e3779b1, %eax, %eax
  sarl $31, %eax
  andl $${INK ^ PAPER}, %eax
  xorl $${PAPER}, %eax
  jmp store
  .align 8
gdt: .quad 0, 0x00cf92000000ffff
table: .word 15
  .long gdt
noise: .long 1
  .org 510
  .word 0xaa55
`;

/** @returns a floppy disk */
export const movingGuest = (): Buffer => bootFloppy(SOURCE);
