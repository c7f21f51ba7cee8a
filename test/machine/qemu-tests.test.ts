/**
 * QEMU's programs for its translator (tests/tcg), 32- and 64-bit: in Debian's amd64 kernel they print what they print on the
 * host's processor, byte for byte, and end with the same status. Both sides run the same script.
 */
import { execFile } from 'node:child_process';
import { mkdirSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { gunzipSync } from 'node:zlib';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { guest, Headless } from './support/headless.ts';

const BOOT_SECONDS = 240;
const TEST_SECONDS = 400;
const ALL_SECONDS = 800;
/** Debian's kernels have the page of vsyscall, a program's subject, only when asked. */
const APPEND = 'console=ttyS0 vsyscall=xonly';
/** Differing programs whose output is fetched from the guest to show where. */
const SHOWN = 3;

const run = promisify(execFile);

/**
 * `run.sh` prints `RESULT program status digest` for every program, and `APPROXIMATE bits...` for RCP and RSQRT; `run.sh PROGRAM`
 * prints what the digest is of. What is not the processor's doing is made the same first:
 * - testthread, signals: which thread comes first, and how many alarms had come by when, is the scheduler's; lines are sorted.
 * - test-mmap: addresses that the kernel chose.
 * - vsyscall: the time.
 * - test-x86_64: the upper half of CMPXCHG's 32-bit register destination when it keeps its value. The manuals let it be cleared
 *   or kept (SDM Vol. 2A writes DEST back; APM Vol. 3 does not say), and processors differ.
 * - test-i386, test-x86_64: SHLD and SHRD of 16 bits by more than 16, whose result and flags are undefined (SDM Vol. 2B); processors
 *   of one maker differ.
 * - test-avx: RCP and RSQRT are approximations that each maker has its own table for; they are compared as numbers.
 */
const SCRIPT = String.raw`
export LC_ALL=C
approximation() { sed '/R\(CP\|SQRT\)[PS]S/,+2'"$1"; }
undefined_shifts='/^sh[lr]dw .* C=[0-9a-f]*[13579bdf][1-9a-f] /d'
canonical() {
  case $1 in
    */testthread) sort ;;
    */signals) sed 's/saw [0-9]* alarms from [0-9]*/saw alarms/; s/after: [0-9]*/after:/' | sort ;;
    */test-mmap) sed 's/addr=0x[0-9a-f]*/addr=/g' ;;
    */vsyscall) sed 's/^[0-9]*$/time/' ;;
    */test-i386) sed "$undefined_shifts" ;;
    */test-x86_64) sed "$undefined_shifts; /^cmpxchgl /s/ C=[0-9a-f]\{8\}/ C=/" ;;
    */test-avx) approximation d ;;
    *) cat ;;
  esac
}
run() {
  { timeout ${TEST_SECONDS} ./$1 2>&1 </dev/null; echo $? >$HOME/status; } | canonical $1
}
[ $# = 0 ] || { run $1; exit; }
echo
for program in 32/* 64/*; do
  digest=$(run $program | sha256sum)
  echo "RESULT $program $(cat $HOME/status) $(echo $digest | cut -c1-64)"
done
./64/test-avx | sed -n '/R\(CP\|SQRT\)[PS]S/,+1p' | sed -n 's/^ymm[0-9]* = /APPROXIMATE /p'
`;

/** Words of /proc/cpuinfo that a program's output needs; hosts without them end it with SIGILL. */
const NEEDS: Readonly<Record<string, readonly string[]>> = {
  '32/sha512-sse': ['sse4_1'],
  '64/sha512-sse': ['sse4_1'],
  '32/test-i386-sse-exceptions': ['sse4_1'],
  '32/test-i386-pcmpistri': ['sse4_2'],
  '32/test-i386-bmi2': ['bmi1', 'bmi2'],
  '64/test-i386-bmi2': ['bmi1', 'bmi2'],
  '64/test-i386-ssse3': ['ssse3'],
  '64/test-mmx': ['ssse3'],
  '64/test-avx': ['sse4_2', 'aes', 'avx', 'avx2', 'f16c', 'fma'],
};

/** RCPPS and RSQRTPS, SDM Vol. 2B: the largest relative error of each side. */
const RELATIVE_ERROR = 1.5 * 2 ** -12;

interface Result {
  readonly status: number;
  readonly digest: string;
}
const resultsOf = (text: string): Readonly<Record<string, Result>> =>
  Object.fromEntries(
    Array.from(text.matchAll(/^RESULT (\S+) (\d+) (\w{64})\r?$/gm), ([, name, status, digest]) => [
      name,
      { status: Number(status), digest },
    ]),
  );
/** Singles of the registers that approximations went to, in the order of the program. */
const approximationsOf = (text: string): readonly number[] =>
  Array.from(text.matchAll(/^APPROXIMATE ([0-9a-f ]+)\r?$/gm)).flatMap(([, words]) =>
    (words.replaceAll(' ', '').match(/.{8}/g) ?? []).map((word) => Buffer.from(word, 'hex').readFloatBE()),
  );

let machine: Headless | undefined;
let folder: string;
let host: string;
let virtual: string;

/** The same script on the host, in a folder that holds nothing else. */
async function onHost(...words: readonly string[]): Promise<string> {
  const { stdout } = await run('sh', ['-c', SCRIPT, 'run.sh', ...words], {
    cwd: join(folder, 'qemutests'),
    env: { ...process.env, HOME: folder },
    maxBuffer: 2 ** 28,
  });
  return stdout;
}

async function inGuest(): Promise<string> {
  machine = new Headless([
    ...['--kernel', guest('amd64-kernel'), '--initrd', guest('amd64-initrd'), '--append', APPEND],
    ...['--hda', `${guest('qemutests64.tar')},ro`, '--memory', '384'],
  ]);
  await machine.serial(/BOOT-OK/, BOOT_SECONDS);
  await machine.serial('# ', 30);
  machine.type(`stty -echo; mkdir -p /t; export HOME=/t; cat >/t/run.sh <<'END'\n${SCRIPT}END\n`);
  machine.type('until [ -b /dev/sda ]; do sleep 1; done; tar -x -C /t -f /dev/sda; cd /t/qemutests\n');
  machine.type('sh ../run.sh; echo all-$((1+1))\n');
  return await machine.serial(/all-2\s/, ALL_SECONDS);
}

/** The first line in which the guest's output of a program differs from the host's. */
async function firstDifference(program: string): Promise<string> {
  if (!machine) return '';
  const from = machine.output.length;
  machine.type(`echo; sh ../run.sh ${program} | gzip | base64; echo shown-$((1+1))\n`);
  const text = await machine.serial(/shown-2\s/, TEST_SECONDS, from);
  const coded = Array.from(text.matchAll(/^([A-Za-z0-9+/]+=*)\r?$/gm), ([, line]) => line).join('');
  const there = gunzipSync(Buffer.from(coded, 'base64')).toString('latin1').split('\n');
  const here = (await onHost(program)).split('\n');
  const n = here.findIndex((line, i) => line !== there[i]);
  if (n < 0) return `${program}: the same when run again\n`;
  return `${program}, line ${n + 1}:\n  host:  ${here[n]}\n  guest: ${there[n]}\n`;
}

async function differences(programs: readonly string[]): Promise<string> {
  const wanted = resultsOf(host);
  const found = resultsOf(virtual);
  const differing = programs.filter((name) => wanted[name]?.digest !== found[name]?.digest);
  let report = '';
  for (const name of differing.slice(0, SHOWN)) report += await firstDifference(name);
  return differing.length === 0 ? '' : `${differing.join(' ')}\n${report}`;
}

const flags = new Set(/^flags\s*:(.*)$/m.exec(readFileSync('/proc/cpuinfo', 'utf8'))?.[1].split(' '));
/** Kernels can be built or started without the page that the program calls into. */
const hasVsyscall = readFileSync('/proc/self/maps', 'utf8').includes('[vsyscall]');
const hostRuns = (program: string): boolean =>
  (NEEDS[program] ?? []).every((flag) => flags.has(flag)) && (program !== '64/vsyscall' || hasVsyscall);

describe("QEMU's tests/tcg", () => {
  beforeAll(
    async () => {
      folder = mkdtempSync(join(tmpdir(), 'tabbox-qemu-tests-'));
      await run('tar', ['-x', '-C', folder, '-f', guest('qemutests64.tar')]);
      mkdirSync(join(folder, 'qemutests'), { recursive: true });
      [host, virtual] = await Promise.all([onHost(), inGuest()]);
    },
    (BOOT_SECONDS + ALL_SECONDS) * 1000,
  );
  afterAll(async () => {
    await machine?.kill();
    rmSync(folder, { recursive: true, force: true });
  });

  test('every program ends with status 0: those that judge themselves are content', () => {
    const found = resultsOf(virtual);
    expect(Object.keys(found).length, virtual).toBeGreaterThan(50);
    expect(Object.keys(found)).toEqual(Object.keys(resultsOf(host)));
    expect(Object.entries(found).filter(([, { status }]) => status !== 0)).toEqual([]);
  });

  test('64-bit programs print what they print on the host', async () => {
    const wanted = resultsOf(host);
    const programs = Object.keys(wanted).filter((name) => name.startsWith('64/') && hostRuns(name));
    expect(programs.length).toBeGreaterThan(15);
    expect(programs.filter((name) => wanted[name].status !== 0)).toEqual([]);
    expect(await differences(programs)).toBe('');
  });

  test('32-bit programs print what they print on the host', async (context) => {
    const wanted = resultsOf(host);
    // Kernels of 64-bit hosts may run no 32-bit programs; then the programs' own verdicts above are all there is.
    if (wanted['32/hello-i386'].status !== 0) context.skip('the kernel of this host runs no i386 programs');
    const programs = Object.keys(wanted).filter((name) => name.startsWith('32/') && hostRuns(name));
    expect(programs.length).toBeGreaterThan(25);
    expect(programs.filter((name) => wanted[name].status !== 0)).toEqual([]);
    expect(await differences(programs)).toBe('');
  });

  test("RCP and RSQRT are within the manual's error of the host's", (context) => {
    if (!hostRuns('64/test-avx')) context.skip('this host has no AVX2');
    const [wanted, found] = [approximationsOf(host), approximationsOf(virtual)];
    expect(found.length, virtual).toBeGreaterThan(250);
    expect(found.length).toBe(wanted.length);
    found.forEach((value, n) => {
      const error = Math.abs(value / wanted[n] - 1);
      expect(Object.is(value, wanted[n]) || error <= 2 * RELATIVE_ERROR, `${value} ${wanted[n]}, ${n}`).toBe(true);
    });
  });
});
