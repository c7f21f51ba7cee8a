/*
 * Executes single instructions on the host CPU, in user mode, with every register and the memory given.
 * Build: gcc -O1 -static -no-pie -fno-pic -fno-stack-protector oracle.c, with -m32 for 32-bit mode.
 *
 * Standard input: the data window's contents (DATA_BYTES), the number of cases, the cases. Standard output: the results.
 * Layouts: test/cpu/oracle/layout.ts. Little-endian, packed.
 *
 * A signal handler does the work: it changes the context that it returns to, TF included, so the kernel loads all
 * registers, the case's instruction runs, and the trap after it (or its fault) brings the next signal with the result.
 * Sources: SDM Vol. 3B, 17.3.1.4 (single-step); Linux, arch/x86/include/uapi/asm/sigcontext.h (32-bit frame: an FSAVE
 * image of 112 bytes, from which the x87 part is loaded, then the FXSAVE image; both frames go on with the XSAVE header
 * and the upper halves of the YMM registers where the host has them).
 */
#define _GNU_SOURCE
#include <asm/ldt.h>
#include <cpuid.h>
#include <signal.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/personality.h>
#include <ucontext.h>
#include <sys/syscall.h>
#include <unistd.h>

enum {
  RESERVED_BASE = 0x10000000,
  RESERVED_BYTES = 0x20000000,
  CODE_BASE = 0x10000000,
  CODE_BYTES = 0x2000,
  DATA_BASE = 0x20000000,
  DATA_BYTES = 0x4000,
  READ_ONLY_FROM = 0x3000,
  FX_BYTES = 288,
  YMM_BYTES = 128,
  /* In an XSAVE area (SDM Vol. 1, 13.4): the header, and state component 2 where CPUID puts it. */
  XSAVE_HEADER = 512,
  XSAVE_AVX = 576,
  SOFTWARE = 464,
  FILL = 0xf4,
  MAX_CHANGES = 2048,
  MAX_STEPS = 5000,
  TF = 0x100,
  TRAP_DEBUG = 1,
  FLAT_CODE = 0x23
};

struct __attribute__((packed)) given {
  uint8_t code[16];
  uint32_t eip;
  uint32_t gpr[8];
  uint32_t eflags;
  uint8_t fx[FX_BYTES];
  uint8_t code_bytes, repeats;
  uint16_t cs, ss, ds, es;
  uint8_t ymm[YMM_BYTES];
  uint16_t patches; /* each: uint16 offset, uint16 bytes, the bytes */
};

struct __attribute__((packed)) result {
  int32_t trap; /* 1: completed */
  uint32_t error, cr2, eip, steps;
  uint32_t gpr[8];
  uint32_t eflags;
  uint8_t fx[FX_BYTES];
  uint8_t ymm[YMM_BYTES];
  uint32_t changes; /* each: uint16 offset, uint16 value */
};

#ifdef __x86_64__
static const int ORDER[8] = {REG_RAX, REG_RCX, REG_RDX, REG_RBX, REG_RSP, REG_RBP, REG_RSI, REG_RDI};
enum { IP = REG_RIP, ERROR = REG_ERR, TRAP = REG_TRAPNO, FX_AT = 0 };
#else
static const int ORDER[8] = {REG_EAX, REG_ECX, REG_EDX, REG_EBX, REG_ESP, REG_EBP, REG_ESI, REG_EDI};
enum { IP = REG_EIP, ERROR = REG_ERR, TRAP = REG_TRAPNO, FX_AT = 112 };
#endif
/* FP_XSTATE_MAGIC1: an XSAVE area follows. */
static const uint32_t EXTENDED = 0x46505853;
static uint8_t *data = (uint8_t *)DATA_BASE;
static uint8_t *code = (uint8_t *)CODE_BASE;
static uint8_t original[DATA_BYTES];
static const uint8_t *next;
static uint8_t *out;
static uint32_t left;
static struct given current;
static int active;
static uint32_t steps;
static uint8_t *output;

#ifndef __x86_64__
/* Segments of the local descriptor table, from entry 1 on: SEGMENTS in test/cpu/oracle/layout.ts. */
static struct user_desc segments[] = {
    {.base_addr = CODE_BASE, .limit = 0xfffff, .seg_32bit = 0, .contents = MODIFY_LDT_CONTENTS_CODE},
    {.base_addr = CODE_BASE, .limit = 0xfffff, .seg_32bit = 1, .contents = MODIFY_LDT_CONTENTS_CODE},
    {.base_addr = DATA_BASE, .limit = 0x3fff, .seg_32bit = 0, .contents = MODIFY_LDT_CONTENTS_DATA},
    {.base_addr = DATA_BASE, .limit = 0x27fa, .seg_32bit = 1, .contents = MODIFY_LDT_CONTENTS_DATA},
    {.base_addr = DATA_BASE, .limit = 0x07ff, .seg_32bit = 1, .contents = MODIFY_LDT_CONTENTS_STACK},
    {.base_addr = DATA_BASE, .limit = 0x3fff, .seg_32bit = 1, .contents = MODIFY_LDT_CONTENTS_DATA, .read_exec_only = 1},
    {.base_addr = DATA_BASE, .limit = 0x07ff, .seg_32bit = 0, .contents = MODIFY_LDT_CONTENTS_STACK},
};
#endif

static uint32_t cr2_of(const ucontext_t *uc) {
#ifdef __x86_64__
  return uc->uc_mcontext.gregs[REG_CR2];
#else
  return uc->uc_mcontext.cr2;
#endif
}

static uint8_t *fx_of(const ucontext_t *uc) {
  return (uint8_t *)uc->uc_mcontext.fpregs + FX_AT;
}
static int has_ymm(const uint8_t *fx) {
  uint32_t magic;
  uint64_t features;
  memcpy(&magic, fx + SOFTWARE, 4);
  memcpy(&features, fx + SOFTWARE + 8, 8);
  return magic == EXTENDED && (features & 4);
}

/* Where the case's code lies in the code window. */
static uint8_t *code_at(void) {
  return code + current.eip - (current.cs == FLAT_CODE ? CODE_BASE : 0);
}

static void write_all(const uint8_t *from, size_t count) {
  while (count > 0) {
    ssize_t n = write(1, from, count);
    if (n <= 0) _exit(3);
    from += n;
    count -= n;
  }
}

static void protect(int writable) {
  if (mprotect(data + READ_ONLY_FROM, DATA_BYTES - READ_ONLY_FROM, writable ? PROT_READ | PROT_WRITE : PROT_READ)) _exit(4);
}

/* Reports what changed in the window and undoes it. */
static uint32_t collect_changes(void) {
  uint32_t count = 0;
  /* What is patched may be read-only, and cannot have changed there. */
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
  struct result r;
  r.trap = g[TRAP];
  r.error = g[ERROR];
  r.cr2 = cr2_of(uc);
  r.eip = g[IP];
  r.steps = steps;
  for (int i = 0; i < 8; i++) r.gpr[i] = g[ORDER[i]];
  r.eflags = g[REG_EFL];
  const uint8_t *fx = fx_of(uc);
  memcpy(r.fx, fx, FX_BYTES);
  memset(r.ymm, 0, YMM_BYTES);
  if (has_ymm(fx) && (fx[XSAVE_HEADER] & 4)) memcpy(r.ymm, fx + XSAVE_AVX, YMM_BYTES);
  uint8_t *header = out;
  out += sizeof r;
  r.changes = collect_changes();
  memcpy(header, &r, sizeof r);
  memset(code_at(), FILL, current.code_bytes);
}

static void load_case(ucontext_t *uc) {
  memcpy(&current, next, sizeof current);
  next += sizeof current;
  int touches_read_only = 0;
  const uint8_t *patch = next;
  for (int i = 0; i < current.patches; i++) {
    uint16_t head[2];
    memcpy(head, patch, 4);
    if (head[0] + head[1] > READ_ONLY_FROM) touches_read_only = 1;
    patch += 4 + head[1];
  }
  if (touches_read_only) _exit(5);
  for (int i = 0; i < current.patches; i++) {
    uint16_t head[2];
    memcpy(head, next, 4);
    memcpy(data + head[0], next + 4, head[1]);
    next += 4 + head[1];
  }
  memcpy(code_at(), current.code, current.code_bytes);
  greg_t *g = uc->uc_mcontext.gregs;
  for (int i = 0; i < 8; i++) g[ORDER[i]] = current.gpr[i];
  g[IP] = current.eip;
  g[REG_EFL] = current.eflags | TF;
  uint8_t *image = fx_of(uc);
#ifdef __x86_64__
  memcpy(image, current.fx, FX_BYTES);
#else
  g[REG_CS] = current.cs;
  g[REG_SS] = current.ss;
  g[REG_DS] = current.ds;
  g[REG_ES] = current.es;
  uint8_t *fsave = (uint8_t *)uc->uc_mcontext.fpregs;
  const uint8_t *fx = current.fx;
  uint16_t control, status;
  memcpy(&control, fx, 2);
  memcpy(&status, fx + 2, 2);
  uint32_t tags = 0;
  for (int i = 0; i < 8; i++)
    if (!(fx[4] >> i & 1)) tags |= 3u << 2 * i;
  uint32_t environment[7] = {control | 0xffff0000u, status | 0xffff0000u, tags | 0xffff0000u, 0, 0, 0, 0};
  memcpy(fsave, environment, sizeof environment);
  for (int i = 0; i < 8; i++) memcpy(fsave + 28 + 10 * i, fx + 32 + 16 * i, 10);
  memcpy(image, fx, 28);
  memcpy(image + 32, fx + 32, FX_BYTES - 32);
#endif
  if (has_ymm(image)) {
    memcpy(image + XSAVE_AVX, current.ymm, YMM_BYTES);
    image[XSAVE_HEADER] |= 7;
  }
  steps = 0;
}

static void on_signal(int number, siginfo_t *info, void *context) {
  (void)number;
  (void)info;
  /* What POPF may have left and the kernel passes on from here to the next case: AC, NT, ID. */
#ifdef __x86_64__
  __asm__ volatile("subq $256, %%rsp\n\tpushfq\n\tandl $0xffdbbfff, (%%rsp)\n\tpopfq\n\taddq $256, %%rsp" : : : "cc", "memory");
#else
  __asm__ volatile("pushfl\n\tandl $0xffdbbfff, (%%esp)\n\tpopfl" : : : "cc", "memory");
#endif
  ucontext_t *uc = context;
  if (active) {
    greg_t *g = uc->uc_mcontext.gregs;
    steps++;
    /* A repeated string instruction traps after each iteration. */
    if (current.repeats && g[TRAP] == TRAP_DEBUG && (uint32_t)g[IP] == current.eip && steps < MAX_STEPS) return;
    record_result(uc);
  }
  active = 1;
  if (left == 0) {
    write_all(output, out - output);
    _exit(0);
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

/* Vendor and signature of the processor: an emulator that runs this program has others than the host. */
static void print_processor(void) {
  uint32_t words[5], unused;
  __cpuid(0, unused, words[0], words[1], words[2]);
  __cpuid(1, words[3], unused, unused, unused);
  words[4] = 0;
  write_all((const uint8_t *)words, sizeof words);
}

int main(int count, char **arguments) {
  if (count > 1) {
    print_processor();
    return 0;
  }
  /* The heap of a 64-bit program begins anywhere below 1 GB, unless it is told not to. */
  int kept = personality(0xffffffff);
  if (count > 0 && kept != -1 && !(kept & ADDR_NO_RANDOMIZE)) {
    personality(kept | ADDR_NO_RANDOMIZE);
    execv("/proc/self/exe", arguments);
    return 9;
  }
  /* Nothing else may come to lie where addresses of cases point to. */
  void *reserved = mmap((void *)RESERVED_BASE, RESERVED_BYTES, PROT_NONE,
                        MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE | MAP_NORESERVE, -1, 0);
  if (reserved != (void *)RESERVED_BASE) return 2;
  int fixed = MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED;
  if (mmap(code, CODE_BYTES, PROT_READ | PROT_WRITE | PROT_EXEC, fixed, -1, 0) != code) return 2;
  if (mmap(data, DATA_BYTES, PROT_READ | PROT_WRITE, fixed, -1, 0) != data) return 2;
  memset(code, FILL, CODE_BYTES);
#ifndef __x86_64__
  for (unsigned i = 0; i < sizeof segments / sizeof *segments; i++) {
    segments[i].entry_number = i + 1;
    segments[i].useable = 1;
    if (syscall(SYS_modify_ldt, 0x11, &segments[i], sizeof segments[i])) return 8;
  }
#endif
  uint8_t *input;
  size_t size = read_all(&input);
  if (size < DATA_BYTES + 4) return 2;
  memcpy(original, input, DATA_BYTES);
  memcpy(data, original, DATA_BYTES);
  memcpy(&left, input + DATA_BYTES, 4);
  next = input + DATA_BYTES + 4;
  protect(0);
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
  __asm__ volatile("int3");
  return 2;
}
