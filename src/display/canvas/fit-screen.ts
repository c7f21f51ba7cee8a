/** How large a guest's screen is shown. */

export interface ScreenShape {
  /** Guest pixels. */
  readonly width: number;
  readonly height: number;
  /** The picture fills a 4:3 tube whatever its pixel counts. */
  readonly fourByThree: boolean;
}

export interface FitOptions {
  /** Keep 4:3 where the guest's mode asks for it; otherwise pixels are square. */
  readonly aspectCorrection: boolean;
  /** Scale by whole numbers of device pixels only; falls back to an exact fit when not even 1:1 fits. */
  readonly integerScaling: boolean;
}

export interface Fitted {
  /** CSS pixels. */
  readonly width: number;
  readonly height: number;
  /** Every guest pixel covers the same whole number of device pixels, so no smoothing is wanted. */
  readonly crisp: boolean;
}

/** With aspect correction lines are stretched to a whole multiple when the error stays below this share. */
const ASPECT_TOLERANCE = 0.15;

/**
 * Fits a screen into a box.
 * @param boxWidth CSS pixels
 * @param boxHeight CSS pixels
 * @param devicePixelRatio device pixels in a CSS pixel, above 0
 */
export function fitScreen(
  screen: ScreenShape,
  boxWidth: number,
  boxHeight: number,
  devicePixelRatio: number,
  options: FitOptions,
): Fitted {
  const boxX = Math.max(1, Math.floor(boxWidth * devicePixelRatio));
  const boxY = Math.max(1, Math.floor(boxHeight * devicePixelRatio));
  const corrected = options.aspectCorrection && screen.fourByThree;
  const aspect = corrected ? 4 / 3 : screen.width / screen.height;
  if (options.integerScaling) {
    const scale = integerScales(screen, boxX, boxY, corrected ? aspect : undefined);
    if (scale) {
      return {
        width: (screen.width * scale.x) / devicePixelRatio,
        height: (screen.height * scale.y) / devicePixelRatio,
        crisp: true,
      };
    }
  }
  const x = Math.min(boxX, boxY * aspect);
  const y = x / aspect;
  const crisp = isWhole(x / screen.width) && isWhole(y / screen.height);
  return { width: x / devicePixelRatio, height: y / devicePixelRatio, crisp };
}

/** The largest whole scales that fit; across and down may differ by what comes closest to the aspect. */
function integerScales(
  screen: ScreenShape,
  boxX: number,
  boxY: number,
  aspect: number | undefined,
): { x: number; y: number } | undefined {
  const mostX = Math.floor(boxX / screen.width);
  const mostY = Math.floor(boxY / screen.height);
  if (mostX < 1 || mostY < 1) return undefined;
  const square = Math.min(mostX, mostY);
  let best = { x: square, y: square };
  if (aspect === undefined) return best;
  for (let x = 1; x <= mostX; x++) {
    const y = Math.round((x * screen.width) / aspect / screen.height);
    if (y < 1 || y > mostY) continue;
    const error = Math.abs((x * screen.width) / (y * screen.height) / aspect - 1);
    const larger = x * y > best.x * best.y || aspectError(screen, best, aspect) > ASPECT_TOLERANCE;
    if (error <= ASPECT_TOLERANCE && larger) best = { x, y };
  }
  return best;
}

function aspectError(screen: ScreenShape, scale: { x: number; y: number }, aspect: number): number {
  return Math.abs((screen.width * scale.x) / (screen.height * scale.y) / aspect - 1);
}

function isWhole(x: number): boolean {
  return Math.abs(x - Math.round(x)) < 1e-6;
}
