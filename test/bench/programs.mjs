// What runs inside the guest: shell commands whose output has one or more `BENCH name seconds cpu=... check=...` lines.

const DATA = '/tmp/data16';
const MAKE_DATA = `[ -e ${DATA} ] || /bench/genfile ${DATA} 16`;

/** @type {Readonly<Record<string, string>>} */
export const PROGRAMS = {
  int: '/bench/int',
  mem: '/bench/mem',
  fp_x87: '/bench/fp_x87',
  fp_sse2: '/bench/fp_sse2',
  interp: '/bench/interp',
  sys: '/bench/sys',
  sha256: `${MAKE_DATA}; /bench/timeit bb_sha256 /bin/busybox sha256sum ${DATA}`,
  gzip: `${MAKE_DATA}; /bench/timeit bb_gzip /bin/busybox gzip -c ${DATA}`,
};

/** Instructions of one run of `int` as Debian 12's compiler makes it: v86's count, and single steps on a PC agree to 0.5 %. */
export const INT_INSTRUCTIONS = 750_900_000;

/** Follows the host's placement of pages more than the emulator: shown, but in no mean. */
export const NOT_IN_MEAN = ['mem_chase'];

/** Runs one program. @returns its rows; `corrected` is the guest's seconds without the time other load had the core */
export async function runProgram(session, name, seconds, isNative) {
  session.lap();
  // The echoed command must not look like its own answer.
  session.send(`cd /; ${PROGRAMS[name]}; echo "DO""NE ${name} $?"`);
  const rows = [];
  for (;;) {
    const { match } = await session.expect(
      /\n(?:BENCH (\w+) ([\d.]+) cpu=([\d.]+) check=(\w+)|DONE (\w+) (\d+))(?=\n)/,
      `result of ${name}`,
      seconds,
    );
    const lap = session.lap();
    if (match[5] !== undefined) {
      if (match[6] !== '0') throw new Error(`${name} ended with status ${match[6]}`);
      break;
    }
    const share = lap.main > 0 ? lap.main / (lap.main + lap.wait) : 1;
    rows.push({
      row: match[1],
      seconds: Number(match[2]),
      // On the host itself the shell is measured, not what it starts: that knows its own processor time.
      corrected: isNative ? Number(match[3]) : Number(match[2]) * share,
      guestCpu: Number(match[3]),
      check: match[4],
      ...lap,
    });
  }
  if (rows.length === 0) throw new Error(`${name} printed no result`);
  await session.prompt(30);
  return rows;
}
