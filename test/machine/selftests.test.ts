/** Linux's own tests of x86 processors, tools/testing/selftests/x86, in Debian's amd64 kernel: system calls, signals, segments. */
import { afterEach, expect, test } from 'vitest';
import { guest, Headless } from './support/headless.ts';

const BOOT_SECONDS = 240;
const TEST_SECONDS = 60;
const ALL_SECONDS = 800;

let machine: Headless | undefined;
afterEach(async () => {
  await machine?.kill();
});

/** What does not end with status 0 on a processor like ours. */
const OTHERWISE: Readonly<Record<string, string>> = {
  // Asks CPUID for the size of AMX tiles first; without AMX that fails on every processor.
  amx_64: '1',
};

/** Makes hundreds of thousands of system calls and has most of them traced: minutes. */
const LONG = ['syscall_numbering_64'];

test('every program of selftests/x86 ends as on a processor', async () => {
  machine = new Headless([
    ...['--kernel', guest('amd64-kernel'), '--initrd', guest('amd64-initrd'), '--append', 'console=ttyS0'],
    ...['--hda', `${guest('selftests64.tar')},ro`, '--memory', '384'],
  ]);
  await machine.serial(/BOOT-OK/, BOOT_SECONDS);
  await machine.serial('# ', 30);
  machine.type(
    'stty -echo; mkdir /t; until [ -b /dev/sda ]; do sleep 1; done; tar -x -C /t -f /dev/sda; cd /t/selftests\n',
  );
  machine.type(
    `for t in $(ls | grep -v -x -e ${LONG.join(' -e ')}); do timeout ${TEST_SECONDS} ./$t >/tmp/$t 2>&1; s=$?; echo "RESULT $t $s"; ` +
      '[ $s = 0 ] || tail -n 4 /tmp/$t; done; echo all-$((1+1))\n',
  );
  const output = await machine.serial(/all-2\s/, ALL_SECONDS);
  const results = Object.fromEntries(
    Array.from(output.matchAll(/^RESULT (\w+) (\d+)\r?$/gm), ([, name, status]) => [name, status]),
  );
  const names = Object.keys(results);
  expect(names.length, output).toBeGreaterThan(35);
  expect(results, output).toEqual(Object.fromEntries(names.map((name) => [name, OTHERWISE[name] ?? '0'])));
});
