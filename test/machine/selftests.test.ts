/**
 * Linux's own tests of x86 processors, tools/testing/selftests/x86, in Debian's amd64 kernel: system calls, signals, segments.
 * They end as they should on any processor, and find what they find on the host's, apart from what is listed.
 */
import { execFile } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { guest, Headless } from './support/headless.ts';

const BOOT_SECONDS = 240;
/** `syscall_numbering_64` makes hundreds of thousands of system calls and has most of them traced. */
const TEST_SECONDS = 300;
/** On the host nothing but an endless loop takes as long. */
const HOST_TEST_SECONDS = 30;
const ALL_SECONDS = 800;
/** The tests are of the page of vsyscall, too, which Debian's kernels have only when asked. */
const APPEND = 'console=ttyS0 vsyscall=xonly';

const run = promisify(execFile);

/** What does not end with status 0 on a processor like ours. */
const OTHERWISE: Readonly<Record<string, number>> = {
  // Asks CPUID for the size of AMX tiles first; without AMX that fails on every processor.
  amx_64: 1,
};

/** Findings on one side only, and why. */
const EXPLAINED: readonly (readonly [finding: RegExp, reason: string])[] = [
  [/^iop(erm|l)_/, "the host's kernel may be built without these system calls, and tests may run without privileges"],
  [/^(ldt_gdt|test_vsyscall)_\d\d \[SKIP\] .* CPU 1$/, 'the guest has one CPU'],
  [/^ldt_gdt_\d\d \[OK\] All 5 iterations succeeded$/, 'needs a second CPU'],
  [/^test_vsyscall_32 \[OK\] vDSO reported correct (CPU|node)$/, "newer kernels' 32-bit vDSO only"],
  [/^test_vsyscall_64 .*vsyscall/, "the host's kernel may have no such page"],
  [/^sigaltstack_\d\d \[OK\] SIGSEGV signal delivered/, 'asked only where frames exceed MINSIGSTKSZ: AVX-512'],
  [/^syscall_arg_fault_/, "SYSENTER is #UD in AMD's long mode, SYSCALL in Intel's compatibility mode; ours is Intel's"],
  [/^unwind_vdso_32 \[OK\] (AT_SYSINFO maps|NR = )/, 'an address, and the number of a process'],
  [/^mov_ss_trap_/, 'hypervisors deliver ICEBP after MOV SS for ever, or no breakpoints'],
  [
    /^fsgsbase_64 \[OK\] .* because IRET is defective$/,
    'IRET clears null selectors; only if an interrupt came just then',
  ],
  [/^single_step_syscall_\d\d \[OK\] Survived .* \d+ traps$/, "counts instructions of the kernel's vDSO"],
  [/^amx_64 /, 'the host may have AMX'],
];

/**
 * Prints each finding of each program once, and its status. Line by line, for a program that loops must not fill the
 * memory.
 */
const script = (seconds: number): string => String.raw`
export LC_ALL=C
echo
for program in *; do
  { timeout ${seconds} ./$program 2>&1 </dev/null; echo $? >$HOME/status; } |
    sed -n 's/^.*\(\[\(OK\|FAIL\|SKIP\)\]\)[[:space:]]*/\1 /p' | sort -u | sed "s/^/FOUND $program /"
  echo "RESULT $program $(cat $HOME/status)"
done
`;

const statusesOf = (text: string): Readonly<Record<string, number>> =>
  Object.fromEntries(
    Array.from(text.matchAll(/^RESULT (\w+) (\d+)\r?$/gm), ([, name, status]) => [name, Number(status)]),
  );
const findingsOf = (text: string): readonly string[] =>
  Array.from(text.matchAll(/^FOUND (.*?)\r?$/gm), ([, finding]) => finding);

let machine: Headless | undefined;
let folder: string;
let host: string;
let virtual: string;

async function onHost(): Promise<string> {
  const { stdout } = await run('sh', ['-c', script(HOST_TEST_SECONDS)], {
    cwd: join(folder, 'selftests'),
    env: { ...process.env, HOME: folder },
  });
  return stdout;
}

async function inGuest(): Promise<string> {
  machine = new Headless([
    ...['--kernel', guest('amd64-kernel'), '--initrd', guest('amd64-initrd'), '--append', APPEND],
    ...['--hda', `${guest('selftests64.tar')},ro`, '--memory', '384'],
  ]);
  await machine.serial(/BOOT-OK/, BOOT_SECONDS);
  await machine.serial('# ', 30);
  machine.type(`stty -echo; mkdir -p /t; export HOME=/t; cat >/t/run.sh <<'END'\n${script(TEST_SECONDS)}END\n`);
  machine.type('until [ -b /dev/sda ]; do sleep 1; done; tar -x -C /t -f /dev/sda; cd /t/selftests\n');
  machine.type('sh ../run.sh; echo all-$((1+1))\n');
  return await machine.serial(/all-2\s/, ALL_SECONDS);
}

describe('selftests/x86', () => {
  beforeAll(
    async () => {
      folder = mkdtempSync(join(tmpdir(), 'tabbox-selftests-'));
      await run('tar', ['-x', '-C', folder, '-f', guest('selftests64.tar')]);
      [host, virtual] = await Promise.all([onHost(), inGuest()]);
    },
    (BOOT_SECONDS + ALL_SECONDS) * 1000,
  );
  afterAll(async () => {
    await machine?.kill();
    rmSync(folder, { recursive: true, force: true });
  });

  test('every program ends as on a processor like ours', () => {
    const found = statusesOf(virtual);
    const names = Object.keys(found);
    expect(names.length, virtual).toBeGreaterThan(35);
    expect(names).toEqual(Object.keys(statusesOf(host)));
    expect(found, virtual).toEqual(Object.fromEntries(names.map((name) => [name, OTHERWISE[name] ?? 0])));
  });

  test('finds what it finds on the host, or the difference is explained', () => {
    // A host may run no 32-bit programs, or be a paravirtual machine that fails these tests itself: nothing is learnt there.
    const hostStatuses = statusesOf(host);
    const isAsExpected = (name: string): boolean => hostStatuses[name] === (OTHERWISE[name] ?? 0);
    const comparable = (finding: string): boolean =>
      isAsExpected(finding.split(' ', 1)[0]) && !EXPLAINED.some(([pattern]) => pattern.test(finding));
    const [here, there] = [host, virtual].map((text) => findingsOf(text).filter(comparable));
    expect(here.length, host).toBeGreaterThan(50);
    const differing = [
      ...here.filter((finding) => !there.includes(finding)).map((finding) => `host: ${finding}`),
      ...there.filter((finding) => !here.includes(finding)).map((finding) => `guest: ${finding}`),
    ];
    expect(differing).toEqual([]);
  });
});
