/*
 * Executes single instructions on the host CPU: records from standard input, results to standard output. In 64-bit mode,
 * which every host can run; the encodings used mean the same there.
 * Build: gcc -O1 -static -no-pie -fno-pic execute.c
 *
 * A record gives the code bytes, general registers, EFLAGS, an FXSAVE image and 640 bytes of memory that ESI and EDI
 * point into; the answer has the same after the instruction, and the trap number (-1: none).
 */
#define _GNU_SOURCE
#include <setjmp.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <ucontext.h>

enum { MEMORY_BYTES = 640, EAX = 0, ESP = 4, ESI = 6, EDI = 7 };

struct record {
  uint8_t code[16];
  uint32_t code_bytes;
  uint32_t gpr[8]; /* ESI and EDI: offsets into memory */
  uint32_t eflags;
  int32_t trap;
  uint32_t unused;
  uint8_t fx[512];
  uint8_t memory[MEMORY_BYTES];
};

static struct record in;
static uint8_t arena[4096 * 3] __attribute__((aligned(4096)));
uint64_t host_rsp, flags_word;
uint32_t regs[8];
uint8_t fx_in[512] __attribute__((aligned(16)));
uint8_t fx_out[512] __attribute__((aligned(16)));
void *entry;
static sigjmp_buf escape;
static uint8_t *code;

extern void run(void);
extern void after(void);
__asm__(
    ".globl run\nrun:\n"
    "  push %rbx\n  push %rbp\n  push %r12\n  push %r13\n  push %r14\n  push %r15\n  mov %rsp, host_rsp\n"
    "  fxrstor fx_in\n"
    "  push flags_word\n  popf\n"
    "  mov regs+0, %eax\n  mov regs+4, %ecx\n  mov regs+8, %edx\n  mov regs+12, %ebx\n"
    "  mov regs+20, %ebp\n  mov regs+24, %esi\n  mov regs+28, %edi\n"
    "  jmp *entry\n"
    ".globl after\nafter:\n"
    "  mov %eax, regs+0\n  mov %ecx, regs+4\n  mov %edx, regs+8\n  mov %ebx, regs+12\n"
    "  mov %ebp, regs+20\n  mov %esi, regs+24\n  mov %edi, regs+28\n"
    "  mov host_rsp, %rsp\n"
    "  pushf\n  pop flags_word\n"
    "  fxsave fx_out\n"
    "  fninit\n  cld\n  pop %r15\n  pop %r14\n  pop %r13\n  pop %r12\n  pop %rbp\n  pop %rbx\n  ret\n");

static void on_signal(int number, siginfo_t *info, void *context) {
  ucontext_t *uc = context;
  (void)number;
  (void)info;
  in.trap = uc->uc_mcontext.gregs[REG_TRAPNO];
  memcpy(fx_out, uc->uc_mcontext.fpregs, 512);
  for (int i = 0; i < 8; i++) {
    static const int order[8] = {REG_RAX, REG_RCX, REG_RDX, REG_RBX, REG_RSP, REG_RBP, REG_RSI, REG_RDI};
    regs[i] = uc->uc_mcontext.gregs[order[i]];
  }
  flags_word = uc->uc_mcontext.gregs[REG_EFL];
  siglongjmp(escape, 1);
}

int main(void) {
  static uint8_t stack[65536];
  stack_t alternative = {.ss_sp = stack, .ss_size = sizeof stack};
  sigaltstack(&alternative, 0);
  struct sigaction action = {.sa_sigaction = on_signal, .sa_flags = SA_SIGINFO | SA_ONSTACK};
  int signals[] = {SIGSEGV, SIGFPE, SIGILL, SIGBUS, SIGTRAP};
  for (unsigned i = 0; i < sizeof signals / sizeof *signals; i++) sigaction(signals[i], &action, 0);
  code = mmap(0, 4096, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS | MAP_32BIT, -1, 0);
  if (code == MAP_FAILED) return 2;
  uint8_t *memory = arena + 4096;
  entry = code;
  while (fread(&in, sizeof in, 1, stdin) == 1) {
    memcpy(code, in.code, in.code_bytes);
    code[in.code_bytes] = 0xe9;
    int32_t jump = (int32_t)((uint8_t *)after - (code + in.code_bytes + 5));
    memcpy(code + in.code_bytes + 1, &jump, 4);
    memcpy(memory, in.memory, MEMORY_BYTES);
    memcpy(fx_in, in.fx, 512);
    memcpy(regs, in.gpr, sizeof regs);
    regs[ESI] += (uint32_t)(uintptr_t)memory;
    regs[EDI] += (uint32_t)(uintptr_t)memory;
    flags_word = in.eflags | 0x202;
    in.trap = -1;
    if (sigsetjmp(escape, 1) == 0) run();
    __asm__ volatile("fninit; cld");
    uint32_t mxcsr = 0x1f80;
    __asm__ volatile("ldmxcsr %0" : : "m"(mxcsr));
    memcpy(in.gpr, regs, sizeof regs);
    in.gpr[ESP] = 0;
    in.gpr[ESI] -= (uint32_t)(uintptr_t)memory;
    in.gpr[EDI] -= (uint32_t)(uintptr_t)memory;
    in.eflags = flags_word;
    memcpy(in.fx, fx_out, 512);
    memcpy(in.memory, memory, MEMORY_BYTES);
    if (fwrite(&in, sizeof in, 1, stdout) != 1) return 3;
  }
  return 0;
}
