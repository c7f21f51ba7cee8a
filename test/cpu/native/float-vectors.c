/*
 * Runs a loop of machine code over records of operands on the host CPU. In 64-bit mode; the encodings used mean the same in
 * 32-bit mode. Build: gcc -O1 -static -no-pie -fno-pic float-vectors.c
 *
 * Standard input: four 32-bit words (bytes of code, records, bytes of a record, bytes of an answer), the code, the records.
 * Standard output: the answers. The code has ESI at the records, EDI at the answers, ECX = how many, and ends with RET.
 */
#define _GNU_SOURCE
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>

static void *low(size_t bytes, int protection) {
  void *at = mmap(0, bytes + 4096, protection, MAP_PRIVATE | MAP_ANONYMOUS | MAP_32BIT, -1, 0);
  return at == MAP_FAILED ? 0 : at;
}

int main(void) {
  uint32_t head[4];
  if (fread(head, sizeof head, 1, stdin) != 1) return 1;
  size_t in_bytes = (size_t)head[1] * head[2], out_bytes = (size_t)head[1] * head[3];
  uint8_t *code = low(head[0], PROT_READ | PROT_WRITE | PROT_EXEC);
  uint8_t *in = low(in_bytes, PROT_READ | PROT_WRITE), *out = low(out_bytes, PROT_READ | PROT_WRITE);
  if (!code || !in || !out) return 2;
  if (fread(code, 1, head[0], stdin) != head[0] || fread(in, 1, in_bytes, stdin) != in_bytes) return 3;
  uint64_t count = head[1], from = (uintptr_t)in, to = (uintptr_t)out;
  uint32_t mxcsr = 0x1f80;
  __asm__ volatile("call *%4\n\tldmxcsr %3\n\tfninit\n\tcld"
                   : "+c"(count), "+S"(from), "+D"(to)
                   : "m"(mxcsr), "b"(code)
                   : "rax", "rdx", "memory", "cc", "xmm0", "xmm1", "xmm2");
  return fwrite(out, 1, out_bytes, stdout) == out_bytes ? 0 : 4;
}
