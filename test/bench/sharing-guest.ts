/**
 * A guest with a text screen, 80 x 25, that draws nothing until a key comes. S turns scrolling on and off, 30 lines a second;
 * any other key turns a cell in the middle white or black.
 */
import { bootFloppy } from '../e2e/support/boot-floppy.ts';

const [COLUMNS, ROWS] = [80, 25];
const CELL = { column: 40, row: 12 };
/** Pixels of the screen: a VGA shows text in cells of 9 x 16. */
export const [WIDTH, HEIGHT] = [720, 400];
/** A pixel of the cell. */
export const SQUARE = { x: CELL.column * 9 + 4, y: CELL.row * 16 + 8 };

const LINES_A_SECOND = 30;
const DIVISOR = Math.round(1_193_182 / LINES_A_SECOND);
const cellAt = (column: number, row: number): number => (row * COLUMNS + column) * 2;

const SOURCE = `
  .code16
  .globl _start
_start:
  xorw %ax, %ax
  movw %ax, %ds
  movw %ax, %ss
  movw $0x7c00, %sp
  movw $3, %ax
  int $0x10
  movb $1, %ah
  movw $0x2000, %cx
  int $0x10
  movw $0xb800, %ax
  movw %ax, %es
  movb $0x36, %al
  outb %al, $0x43
  movb $${DIVISOR & 255}, %al
  outb %al, $0x40
  movb $${DIVISOR >> 8}, %al
  outb %al, $0x40
  cld
main:
  sti
  hlt
  movb $1, %ah
  int $0x16
  jz 1f
  xorb %ah, %ah
  int $0x16
  cmpb $'s', %al
  jne flip
  xorb $1, scrolls
1:testb $1, scrolls
  jz main
  movl 0x46c, %eax
  cmpl last, %eax
  je main
  movl %eax, last
  xorw %di, %di
  movw $${cellAt(0, 1)}, %si
  movw $${COLUMNS * (ROWS - 1)}, %cx
  rep movsw %es:(%si), %es:(%di)
  movw $${COLUMNS}, %cx
  incb attribute
2:imull $1103515245, seed, %eax
  addl $12345, %eax
  movl %eax, seed
  shrl $16, %eax
  andb $0x7f, %al
  cmpb $0x5f, %al
  jb 3f
  movb $0, %al
3:addb $0x20, %al
  movb attribute, %ah
  andb $3, %ah
  orb $0x0c, %ah
  stosw
  loop 2b
  jmp main
flip:
  xorw $${0x0fdb ^ 0x0f20}, %es:${cellAt(CELL.column, CELL.row)}
  jmp main
seed: .long 1
last: .long 0
attribute: .byte 0
scrolls: .byte 0
  .org 510
  .word 0xaa55
`;

/** @returns a floppy disk */
export const sharingGuest = (): Buffer => bootFloppy(SOURCE);
