/*
 * Executes single instructions on the host CPU, in 64-bit user mode, with every register and the memory given.
 * Build: gcc -O1 -static -no-pie -fno-pic -fno-stack-protector -fcf-protection=none oracle-long.c
 *
 * Standard input: the data window's contents (DATA_BYTES), the number of cases, the cases. Standard output: the results.
 * Layouts: test/cpu/oracle/layout.ts. Little-endian, packed. Both windows can be seen at two addresses: one below 4 GB, for
 * 32-bit addresses, and one above.
 *
 * As in oracle.c a signal handler does the work: it changes the context that it returns to, TF included. The handler
 * must not touch thread-local storage, because FS is the case's while it runs.
 * Sources: SDM Vol. 3B, 17.3.1.4 (single-step); Linux, arch/x86/include/uapi/asm/sigcontext.h (FXSAVE image, then the XSAVE
 * header and the upper halves of the YMM registers where the host has them).
 */
#define _GNU_SOURCE
#include <asm/prctl.h>
#include <signal.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/personality.h>
#include <sys/syscall.h>
#include <ucontext.h>
#include <unistd.h>

#define LOW_RESERVED 0x10000000ul
#define LOW_RESERVED_BYTES 0x20000000ul
#define LOW_CODE 0x10000000ul
#define LOW_DATA 0x20000000ul
#define HIGH_RESERVED 0x4d2f80000000ul
#define HIGH_RESERVED_BYTES 0x80000000ul
#define HIGH_CODE 0x4d2fa0000000ul
#define HIGH_DATA 0x4d2fb0000000ul

enum {
  CODE_BYTES = 0x2000,
  DATA_BYTES = 0x4000,
  READ_ONLY_FROM = 0x3000,
  FX_BYTES = 416,
  YMM_BYTES = 256,
  XSAVE_HEADER = 512,
  XSAVE_AVX = 576,
  SOFTWARE = 464,
  FILL = 0xf4,
  MAX_CHANGES = 2048,
  MAX_STEPS = 5000,
  TF = 0x100,
  TRAP_DEBUG = 1
};

struct __attribute__((packed)) given {
  uint8_t code[16];
  uint64_t rip;
  uint64_t gpr[16];
  uint64_t fs_base, gs_base;
  uint64_t eflags;
  uint8_t fx[FX_BYTES];
  uint8_t ymm[YMM_BYTES];
  uint8_t code_bytes, repeats;
  uint16_t patches; /* each: uint16 offset, uint16 bytes, the bytes */
};

struct __attribute__((packed)) result {
  int32_t trap; /* 1: completed */
  uint32_t error;
  uint64_t cr2, rip;
  uint32_t steps;
  uint32_t changes; /* each: uint16 offset, uint16 value */
  uint64_t gpr[16];
  uint64_t eflags;
  uint8_t fx[FX_BYTES];
  uint8_t ymm[YMM_BYTES];
};

static const int ORDER[16] = {REG_RAX, REG_RCX, REG_RDX, REG_RBX, REG_RSP, REG_RBP, REG_RSI, REG_RDI,
                              REG_R8,  REG_R9,  REG_R10, REG_R11, REG_R12, REG_R13, REG_R14, REG_R15};
/* FP_XSTATE_MAGIC1: an XSAVE area follows. */
static const uint32_t EXTENDED = 0x46505853;
static uint8_t *const data = (uint8_t *)LOW_DATA;
static uint8_t original[DATA_BYTES];
static const uint8_t *next;
static uint8_t *out;
static uint32_t left;
static struct given current;
static int active;
static uint32_t steps;
static uint8_t *output;
static uint64_t fs_base, gs_base;

/* A system call without errno, which is thread-local. */
static long call(long number, long a, long b, long c) {
  long result;
  __asm__ volatile("syscall" : "=a"(result) : "a"(number), "D"(a), "S"(b), "d"(c) : "rcx", "r11", "memory");
  return result;
}
static _Noreturn void leave(int status) {
  for (;;) call(SYS_exit_group, status, 0, 0);
}

static int has_ymm(const uint8_t *fx) {
  uint32_t magic;
  uint64_t features;
  memcpy(&magic, fx + SOFTWARE, 4);
  memcpy(&features, fx + SOFTWARE + 8, 8);
  return magic == EXTENDED && (features & 4);
}

/* Where the case's code lies, as the handler writes it. */
static uint8_t *code_at(void) {
  return (uint8_t *)LOW_CODE + (current.rip - (current.rip >= HIGH_CODE ? HIGH_CODE : LOW_CODE));
}

static void write_all(const uint8_t *from, size_t count) {
  while (count > 0) {
    long n = call(SYS_write, 1, (long)from, (long)count);
    if (n <= 0) leave(3);
    from += n;
    count -= n;
  }
}

/* Reports what changed in the window and undoes it. What is read-only cannot have changed. */
static uint32_t collect_changes(void) {
  uint32_t count = 0;
  for (uint32_t at = 0; at < READ_ONLY_FROM; at += 64) {
    if (memcmp(data + at, original + at, 64) == 0) continue;
    for (uint32_t i = at; i < at + 64; i++) {
      if (data[i] == original[i]) continue;
      if (count < MAX_CHANGES) {
        uint16_t pair[2] = {(uint16_t)i, data[i]};
        memcpy(out, pair, 4);
        out += 4;
        count++;
      }
      data[i] = original[i];
    }
  }
  return count;
}

static void record_result(const ucontext_t *uc) {
  const greg_t *g = uc->uc_mcontext.gregs;
  const uint8_t *fx = (const uint8_t *)uc->uc_mcontext.fpregs;
  struct result r;
  r.trap = g[REG_TRAPNO];
  r.error = g[REG_ERR];
  r.cr2 = g[REG_CR2];
  r.rip = g[REG_RIP];
  r.steps = steps;
  for (int i = 0; i < 16; i++) r.gpr[i] = g[ORDER[i]];
  r.eflags = g[REG_EFL];
  memcpy(r.fx, fx, FX_BYTES);
  memset(r.ymm, 0, YMM_BYTES);
  if (has_ymm(fx) && (fx[XSAVE_HEADER] & 4)) memcpy(r.ymm, fx + XSAVE_AVX, YMM_BYTES);
  uint8_t *header = out;
  out += sizeof r;
  r.changes = collect_changes();
  memcpy(header, &r, sizeof r);
  memset(code_at(), FILL, current.code_bytes);
}

static void set_base(int which, uint64_t *now, uint64_t wanted) {
  if (*now == wanted) return;
  *now = wanted;
  if (call(SYS_arch_prctl, which, (long)wanted, 0) != 0) leave(10);
}

static void load_case(ucontext_t *uc) {
  memcpy(&current, next, sizeof current);
  next += sizeof current;
  for (int i = 0; i < current.patches; i++) {
    uint16_t head[2];
    memcpy(head, next, 4);
    if (head[0] + head[1] > READ_ONLY_FROM) leave(5);
    memcpy(data + head[0], next + 4, head[1]);
    next += 4 + head[1];
  }
  memcpy(code_at(), current.code, current.code_bytes);
  greg_t *g = uc->uc_mcontext.gregs;
  for (int i = 0; i < 16; i++) g[ORDER[i]] = current.gpr[i];
  g[REG_RIP] = current.rip;
  g[REG_EFL] = current.eflags | TF;
  uint8_t *image = (uint8_t *)uc->uc_mcontext.fpregs;
  memcpy(image, current.fx, FX_BYTES);
  if (has_ymm(image)) {
    memcpy(image + XSAVE_AVX, current.ymm, YMM_BYTES);
    image[XSAVE_HEADER] |= 7;
  }
  set_base(ARCH_SET_FS, &fs_base, current.fs_base);
  set_base(ARCH_SET_GS, &gs_base, current.gs_base);
  steps = 0;
}

static void on_signal(int number, siginfo_t *info, void *context) {
  (void)number;
  (void)info;
  /* What POPF may have left and the kernel passes on from here to the next case: AC, NT, ID. */
  __asm__ volatile("subq $256, %%rsp\n\tpushfq\n\tandl $0xffdbbfff, (%%rsp)\n\tpopfq\n\taddq $256, %%rsp" : : : "cc", "memory");
  ucontext_t *uc = context;
  if (active) {
    greg_t *g = uc->uc_mcontext.gregs;
    steps++;
    /* A repeated string instruction traps after each iteration. */
    if (current.repeats && g[REG_TRAPNO] == TRAP_DEBUG && (uint64_t)g[REG_RIP] == current.rip && steps < MAX_STEPS) return;
    record_result(uc);
  }
  active = 1;
  if (left == 0) {
    write_all(output, out - output);
    leave(0);
  }
  left--;
  load_case(uc);
}

static size_t read_all(uint8_t **bytes) {
  size_t size = 0, room = 1 << 24;
  uint8_t *at = malloc(room);
  for (;;) {
    if (size == room) at = realloc(at, room *= 2);
    if (!at) _exit(6);
    ssize_t n = read(0, at + size, room - size);
    if (n < 0) _exit(7);
    if (n == 0) break;
    size += n;
  }
  *bytes = at;
  return size;
}

/* Nothing else may come to lie where addresses of cases point to. */
static int reserve(uint64_t at, uint64_t bytes) {
  int flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE | MAP_NORESERVE;
  return mmap((void *)at, bytes, PROT_NONE, flags, -1, 0) == (void *)at;
}
/* Shows the first bytes of a file at two addresses. */
static int show(const char *name, uint64_t bytes, uint64_t low, uint64_t high, int protection) {
  int file = memfd_create(name, 0);
  if (file < 0 || ftruncate(file, (off_t)bytes)) return 0;
  uint64_t places[] = {low, high};
  for (int i = 0; i < 2; i++)
    if (mmap((void *)places[i], bytes, protection, MAP_SHARED | MAP_FIXED, file, 0) != (void *)places[i]) return 0;
  return 1;
}

int main(int count, char **arguments) {
  /* The heap begins anywhere below 1 GB, unless it is told not to. */
  int kept = personality(0xffffffff);
  if (count > 0 && kept != -1 && !(kept & ADDR_NO_RANDOMIZE)) {
    personality(kept | ADDR_NO_RANDOMIZE);
    execv("/proc/self/exe", arguments);
    return 9;
  }
  if (!reserve(LOW_RESERVED, LOW_RESERVED_BYTES) || !reserve(HIGH_RESERVED, HIGH_RESERVED_BYTES)) return 2;
  if (!show("code", CODE_BYTES, LOW_CODE, HIGH_CODE, PROT_READ | PROT_WRITE | PROT_EXEC)) return 2;
  if (!show("data", DATA_BYTES, LOW_DATA, HIGH_DATA, PROT_READ | PROT_WRITE)) return 2;
  memset((void *)LOW_CODE, FILL, CODE_BYTES);
  uint8_t *input;
  size_t size = read_all(&input);
  if (size < DATA_BYTES + 4) return 2;
  memcpy(original, input, DATA_BYTES);
  memcpy(data, original, DATA_BYTES);
  memcpy(&left, input + DATA_BYTES, 4);
  next = input + DATA_BYTES + 4;
  for (int i = 0; i < 2; i++)
    if (mprotect((uint8_t *)(i ? HIGH_DATA : LOW_DATA) + READ_ONLY_FROM, DATA_BYTES - READ_ONLY_FROM, PROT_READ)) return 4;
  /* A page that was never touched is not present yet, which a fault's error code tells. */
  for (int i = 0; i < 2; i++) {
    for (uint32_t at = 0; at < DATA_BYTES; at += 4096) (void)*(volatile uint8_t *)((i ? HIGH_DATA : LOW_DATA) + at);
    for (uint32_t at = 0; at < CODE_BYTES; at += 4096) (void)*(volatile uint8_t *)((i ? HIGH_CODE : LOW_CODE) + at);
  }
  /* As much as all cases could change; what is not used is never backed. */
  output = out = malloc((size_t)left * (sizeof(struct result) + 4 * MAX_CHANGES));
  if (!output) return 2;
  size_t stack_bytes = 1 << 18;
  stack_t stack = {.ss_sp = malloc(stack_bytes), .ss_size = stack_bytes};
  if (sigaltstack(&stack, 0)) return 2;
  struct sigaction action = {.sa_sigaction = on_signal, .sa_flags = SA_SIGINFO | SA_ONSTACK};
  static const int signals[] = {SIGSEGV, SIGFPE, SIGILL, SIGBUS, SIGTRAP};
  for (unsigned i = 0; i < sizeof signals / sizeof *signals; i++) {
    for (unsigned j = 0; j < sizeof signals / sizeof *signals; j++) sigaddset(&action.sa_mask, signals[j]);
    if (sigaction(signals[i], &action, 0)) return 2;
  }
  if (call(SYS_arch_prctl, ARCH_GET_FS, (long)&fs_base, 0) || call(SYS_arch_prctl, ARCH_GET_GS, (long)&gs_base, 0)) return 2;
  __asm__ volatile("int3");
  return 2;
}
