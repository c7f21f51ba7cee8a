/*
 * Executes single instructions on the host CPU, in 32-bit mode: records from standard input, results to standard output.
 * Build: gcc -m32 -O1 -no-pie -fno-pic execute.c
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
uint32_t host_esp, regs[8], flags_word;
uint8_t fx_in[512] __attribute__((aligned(16)));
uint8_t fx_out[512] __attribute__((aligned(16)));
void *entry;
static sigjmp_buf escape;
static uint8_t *code;

extern void run(void);
extern void after(void);
__asm__(
    ".globl run\nrun:\n"
    "  pusha\n  mov %esp, host_esp\n"
    "  fxrstor fx_in\n"
    "  pushl flags_word\n  popf\n"
    "  mov regs+0, %eax\n  mov regs+4, %ecx\n  mov regs+8, %edx\n  mov regs+12, %ebx\n"
    "  mov regs+20, %ebp\n  mov regs+24, %esi\n  mov regs+28, %edi\n"
    "  jmp *entry\n"
    ".globl after\nafter:\n"
    "  mov %eax, regs+0\n  mov %ecx, regs+4\n  mov %edx, regs+8\n  mov %ebx, regs+12\n"
    "  mov %ebp, regs+20\n  mov %esi, regs+24\n  mov %edi, regs+28\n"
    "  mov host_esp, %esp\n"
    "  pushf\n  popl flags_word\n"
    "  fxsave fx_out\n"
    "  fninit\n  cld\n  popa\n  ret\n");

static void on_signal(int number, siginfo_t *info, void *context) {
  ucontext_t *uc = context;
  (void)number;
  (void)info;
  in.trap = uc->uc_mcontext.gregs[REG_TRAPNO];
  /* The 32-bit frame: 112 bytes of FSAVE image, then the FXSAVE image. */
  memcpy(fx_out, (uint8_t *)uc->uc_mcontext.fpregs + 112, 512);
  for (int i = 0; i < 8; i++) {
    static const int order[8] = {REG_EAX, REG_ECX, REG_EDX, REG_EBX, REG_ESP, REG_EBP, REG_ESI, REG_EDI};
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
  code = mmap(0, 4096, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
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
    regs[ESI] += (uint32_t)memory;
    regs[EDI] += (uint32_t)memory;
    flags_word = in.eflags | 0x202;
    in.trap = -1;
    if (sigsetjmp(escape, 1) == 0) run();
    __asm__ volatile("fninit; cld");
    uint32_t mxcsr = 0x1f80;
    __asm__ volatile("ldmxcsr %0" : : "m"(mxcsr));
    memcpy(in.gpr, regs, sizeof regs);
    in.gpr[ESP] = 0;
    in.gpr[ESI] -= (uint32_t)memory;
    in.gpr[EDI] -= (uint32_t)memory;
    in.eflags = flags_word;
    memcpy(in.fx, fx_out, 512);
    memcpy(in.memory, memory, MEMORY_BYTES);
    if (fwrite(&in, sizeof in, 1, stdout) != 1) return 3;
  }
  return 0;
}
