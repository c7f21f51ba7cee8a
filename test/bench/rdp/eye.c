/* Looks at what a client shows on its display.
 *   eye video X Y SECONDS     reads the barcode of the pattern at X,Y: pictures a second, their age
 *   eye key X Y COUNT         presses a key and waits for the pixel at X,Y to turn from dark to bright or back
 * Prints one line of JSON; times in milliseconds. */
#include <X11/Xlib.h>
#include <X11/Xutil.h>
#include <X11/extensions/XShm.h>
#include <X11/extensions/XTest.h>
#include <X11/keysym.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ipc.h>
#include <sys/shm.h>
#include <time.h>

enum { CELL = 16, BITS = 40, MOST = 100000 };

static double values[MOST];
static int count;

static double now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * 1e3 + t.tv_nsec / 1e6;
}

static void nap(double ms) {
    struct timespec t = {0, (long)(ms * 1e6)};
    nanosleep(&t, 0);
}

static int compare(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return x < y ? -1 : x > y;
}

static double percentile(int p) { return count ? values[(count - 1) * p / 100] : -1; }

static int bright(Display *d, int x, int y) {
    XImage *i = XGetImage(d, DefaultRootWindow(d), x, y, 1, 1, AllPlanes, ZPixmap);
    int is = (XGetPixel(i, 0, 0) >> 8 & 255) > 127;
    XDestroyImage(i);
    return is;
}

static void key(Display *d, int x, int y, int presses) {
    KeyCode code = XKeysymToKeycode(d, XK_a);
    int lost = 0;
    for (int i = 0; i < presses; i++) {
        int before = bright(d, x, y), changed = 0;
        double t = now();
        XTestFakeKeyEvent(d, code, 1, 0);
        XTestFakeKeyEvent(d, code, 0, 0);
        XFlush(d);
        while (!(changed = bright(d, x, y) != before) && now() - t < 1500) nap(0.3);
        if (changed) values[count++] = now() - t;
        else lost++;
        nap(150 + rand() % 50);
    }
    qsort(values, count, sizeof *values, compare);
    printf("{\"keys\":%d,\"lost\":%d,\"p50\":%.1f,\"p95\":%.1f}\n", count, lost, percentile(50), percentile(95));
}

/* Milliseconds in 32 bits, lowest first, and a sum of its bytes in 8; 0 where there is no barcode. */
static uint32_t barcode(XImage *image) {
    uint32_t ms = 0, sum = 0;
    for (int i = 0; i < BITS; i++) {
        uint32_t pixel = ((uint32_t *)(image->data + CELL / 2 * image->bytes_per_line))[i * CELL + CELL / 2];
        uint32_t bit = (pixel >> 8 & 255) > 127;
        if (i < 32) ms |= bit << i;
        else sum |= bit << (i - 32);
    }
    return sum == ((ms ^ ms >> 8 ^ ms >> 16 ^ ms >> 24) & 255) ? ms : 0;
}

static void video(Display *d, int x, int y, double seconds) {
    int screen = DefaultScreen(d);
    XShmSegmentInfo shared;
    XImage *image = XShmCreateImage(d, DefaultVisual(d, screen), DefaultDepth(d, screen), ZPixmap, 0, &shared,
                                    BITS * CELL, CELL);
    shared.shmid = shmget(IPC_PRIVATE, image->bytes_per_line * CELL, IPC_CREAT | 0600);
    shared.shmaddr = image->data = shmat(shared.shmid, 0, 0);
    shared.readOnly = 0;
    XShmAttach(d, &shared);
    XSync(d, 0);
    shmctl(shared.shmid, IPC_RMID, 0);
    double start = now(), end = start + seconds * 1000;
    int bad = 0;
    for (uint32_t last = 0; now() < end; nap(2)) {
        XShmGetImage(d, DefaultRootWindow(d), image, x, y, AllPlanes);
        uint32_t ms = barcode(image);
        if (!ms) bad++;
        else if (ms != last) {
            /* The clock's low 32 bits. */
            if (last && count < MOST) values[count++] = (int32_t)((uint32_t)(uint64_t)now() - ms);
            last = ms;
        }
    }
    double fps = count / (now() - start) * 1000;
    qsort(values, count, sizeof *values, compare);
    printf("{\"pictures\":%d,\"fps\":%.1f,\"unreadable\":%d,\"p50\":%.1f,\"p95\":%.1f}\n", count, fps, bad,
           percentile(50), percentile(95));
}

int main(int argc, char **argv) {
    Display *d = argc == 5 ? XOpenDisplay(0) : 0;
    if (!d) return fprintf(stderr, "usage: eye video|key X Y SECONDS|COUNT, with a DISPLAY\n"), 2;
    if (!strcmp(argv[1], "key")) key(d, atoi(argv[2]), atoi(argv[3]), atoi(argv[4]));
    else video(d, atoi(argv[2]), atoi(argv[3]), atof(argv[4]));
    return 0;
}
