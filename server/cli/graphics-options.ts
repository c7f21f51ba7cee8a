// The display adapter of a machine and its monitors, as VBoxManage modifyvm names them.

import { CodedError } from '#base/errors.ts';
import { MAX_MONITORS } from '#emu/host/frame.ts';
import { GRAPHICS_CONTROLLERS, type GraphicsController, type MachineConfig } from '#emu/machine/config.ts';
import { parseSwitch } from './platform-options.ts';

export type GraphicsOptions = Pick<MachineConfig, 'graphicsController' | 'monitorCount' | 'videoMemoryMb'>;

type Texts = Readonly<Partial<Record<keyof typeof GRAPHICS_OPTIONS, string | undefined>>>;

const text = { type: 'string' } as const;
/** Both generations of VBoxManage's spellings. */
export const GRAPHICS_OPTIONS = {
  ...{ graphicscontroller: text, vram: text, monitorcount: text },
  ...{ accelerate3d: text, 'accelerate-3d': text, accelerate2dvideo: text, 'accelerate-2d-video': text },
} as const;

export const GRAPHICS_HELP = `    --graphicscontroller NAME  stdvga (default: QEMU's standard VGA) or vboxvga (VirtualBox's; Linux has its driver)
    --monitorcount N         1 to ${MAX_MONITORS} (default: 1); more than one makes the adapter vboxvga
    --vram MB                video memory, 1 to 256, rounded up to a power of two (default: 16 a monitor)
`;

const ACCELERATIONS = ['accelerate3d', 'accelerate-3d', 'accelerate2dvideo', 'accelerate-2d-video'] as const;
const DEFAULT_MB = 16;
const MOST_MB = 256;

const usage = (message: string): CodedError<'usage'> => new CodedError('usage', message);

/** @returns undefined when nothing was given. @throws CodedError<'usage'> */
export function parseGraphics(texts: Texts): GraphicsOptions | undefined {
  for (const name of ACCELERATIONS) {
    if (parseSwitch(`--${name}`, texts[name])) {
      throw usage(`--${name} on: nothing here accelerates a guest's graphics; leave it off`);
    }
  }
  const { graphicscontroller, vram, monitorcount } = texts;
  if (graphicscontroller === undefined && vram === undefined && monitorcount === undefined) return undefined;
  const monitorCount = monitorcount === undefined ? 1 : Number(/^\d$/.test(monitorcount) ? monitorcount : Number.NaN);
  if (!(monitorCount >= 1 && monitorCount <= MAX_MONITORS)) {
    throw usage(`--monitorcount takes 1 to ${MAX_MONITORS}, not '${monitorcount}'`);
  }
  const graphicsController = parseController(graphicscontroller, monitorCount);
  return { graphicsController, monitorCount, videoMemoryMb: parseVram(vram, monitorCount) };
}

function parseController(text: string | undefined, monitorCount: number): GraphicsController {
  if (text === undefined) return monitorCount > 1 ? 'vboxvga' : 'stdvga';
  const name = text.toLowerCase();
  if (!(GRAPHICS_CONTROLLERS as readonly string[]).includes(name)) {
    throw usage(
      `--graphicscontroller takes ${GRAPHICS_CONTROLLERS.join(' or ')}, not '${text}'; there are no others yet`,
    );
  }
  if (name === 'stdvga' && monitorCount > 1) {
    throw usage(`--graphicscontroller stdvga has one monitor; take vboxvga for --monitorcount ${monitorCount}`);
  }
  return name as GraphicsController;
}

function parseVram(text: string | undefined, monitorCount: number): number {
  const megabytes = text === undefined ? DEFAULT_MB * monitorCount : Number(/^\d{1,3}$/.test(text) ? text : Number.NaN);
  if (!(megabytes >= 1 && megabytes <= MOST_MB)) throw usage(`--vram takes 1 to ${MOST_MB} megabytes, not '${text}'`);
  return 2 ** Math.ceil(Math.log2(megabytes));
}
