import { fileURLToPath } from 'node:url';
import type { ViteUserConfig } from 'vitest/config';
import { BaseSequencer, type TestSpecification } from 'vitest/node';

const ROOT = fileURLToPath(new URL('..', import.meta.url));

/** What is to be run, and how. */
interface Lanes {
  /** Where the files are, from the root of the tree. */
  readonly folder: string;
  /**
   * Files, without folder and ending, that run two at a time: they boot and wait, and what they wait for may come late. Those that
   * take longest are first, for two to end at nearly the same time. All others have the host to themselves afterwards.
   */
  readonly paired: readonly string[];
  readonly poll?: { readonly timeout: number; readonly interval: number };
}

/** Tests that take minutes, each with most of a host of two cores. */
export function twoLanes({ folder, paired, poll }: Lanes): ViteUserConfig {
  const pathOf = (name: string): string => `${folder}/${name}.test.ts`;
  const place = ({ moduleId }: TestSpecification): number => {
    const at = paired.findIndex((name) => moduleId.endsWith(`/${pathOf(name)}`));
    return at < 0 ? paired.length : at;
  };
  class InOrder extends BaseSequencer {
    override async sort(files: TestSpecification[]): Promise<TestSpecification[]> {
      return files.sort((a, b) => place(a) - place(b) || a.moduleId.localeCompare(b.moduleId));
    }
  }
  const common = { testTimeout: 600_000, hookTimeout: 120_000, ...(poll && { expect: { poll } }) };
  return {
    root: ROOT,
    test: {
      sequence: { sequencer: InOrder },
      projects: [
        {
          root: ROOT,
          test: {
            ...common,
            name: 'two at a time',
            include: paired.map(pathOf),
            maxWorkers: 2,
            sequence: { groupOrder: 1 },
          },
        },
        {
          root: ROOT,
          test: {
            ...common,
            name: 'alone',
            include: [`${folder}/**/*.test.ts`],
            exclude: paired.map(pathOf),
            fileParallelism: false,
            maxWorkers: 1,
            sequence: { groupOrder: 2 },
          },
        },
      ],
    },
  };
}
