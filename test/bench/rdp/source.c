/* What peers show: draws on an X display until it is ended.
 *   source video X Y    640x360 at 60 pictures a second: waves with noise that move, a barcode of the time on top
 *   source text X Y     640x360 of text that scrolls by a line 30 times a second, the same barcode on top
 *   source key X Y      200x200 that turns from black to white and back with each key */
#include <X11/Xlib.h>
#include <X11/Xutil.h>
#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { WIDTH = 640, HEIGHT = 360, CELL = 16, BITS = 40, FPS = 60, EDGE = 200, LINE = 16, COLUMN = 8, LINES_A_SECOND = 30 };

static uint32_t big[2 * HEIGHT][2 * WIDTH];
static uint32_t picture[HEIGHT][WIDTH];

static double now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec + t.tv_nsec / 1e9;
}

static uint32_t channel(double value) { return value < 0 ? 0 : value > 255 ? 255 : (uint32_t)value; }

static Window window(Display *d, int x, int y, int width, int height) {
    XSetWindowAttributes own = {.override_redirect = 1, .background_pixel = 0};
    Window w = XCreateWindow(d, DefaultRootWindow(d), x, y, width, height, 0, CopyFromParent, InputOutput,
                             CopyFromParent, CWOverrideRedirect | CWBackPixel, &own);
    XSelectInput(d, w, KeyPressMask);
    XMapRaised(d, w);
    XSync(d, 0);
    return w;
}

static void key(Display *d, Window w) {
    XSetInputFocus(d, w, RevertToParent, CurrentTime);
    XGrabKeyboard(d, w, 1, GrabModeAsync, GrabModeAsync, CurrentTime);
    for (int on = 0;;) {
        XEvent event;
        XNextEvent(d, &event);
        if (event.type != KeyPress) continue;
        on = !on;
        XSetWindowBackground(d, w, on ? 0xffffff : 0);
        XClearWindow(d, w);
        XFlush(d);
    }
}

static void mark(uint32_t ms) {
    uint32_t sum = (ms ^ ms >> 8 ^ ms >> 16 ^ ms >> 24) & 255;
    for (int i = 0; i < BITS; i++) {
        uint32_t colour = (i < 32 ? ms >> i & 1 : sum >> (i - 32) & 1) ? 0xffffff : 0;
        for (int y = 0; y < CELL; y++)
            for (int x = 0; x < CELL; x++) picture[y][i * CELL + x] = colour;
    }
}

static uint32_t mixed(uint32_t n) {
    n *= 2654435761u;
    n ^= n >> 15;
    n *= 2246822519u;
    return n ^ n >> 13;
}

/* A row of eight pixels of a character that nobody has to read. */
static uint32_t glyph(uint32_t line, uint32_t column, int row) {
    uint32_t character = mixed(line * 80 + column) % 80;
    return character < 16 || row < 3 || row > 12 ? 0 : mixed(character * 16 + row) & 0x7e;
}

static void text(uint32_t first) {
    for (int y = LINE; y < HEIGHT; y++)
        for (int x = 0; x < WIDTH; x++) {
            uint32_t bits = glyph(first + y / LINE, x / COLUMN, y % LINE);
            picture[y][x] = bits >> (x % COLUMN) & 1 ? 0xc0c0c0 : 0x101018;
        }
}

static void play(Display *d, Window w, int isText) {
    int screen = DefaultScreen(d);
    XImage *image = XCreateImage(d, DefaultVisual(d, screen), DefaultDepth(d, screen), ZPixmap, 0, (char *)picture,
                                 WIDTH, HEIGHT, 32, sizeof *picture);
    for (int y = 0; y < 2 * HEIGHT; y++)
        for (int x = 0; x < 2 * WIDTH; x++)
            big[y][x] = channel(127 + 60 * sin(x / 23.0) + 50 * sin((x + y) / 37.0) + rand() % 16) << 16 |
                        channel(127 + 90 * sin(y / 29.0 + x / 71.0) + rand() % 16) << 8 |
                        channel(127 + 90 * cos((x - y) / 47.0) + rand() % 16);
    GC gc = XCreateGC(d, w, 0, 0);
    double start = now();
    for (long n = 1;; n++) {
        double t = now() - start;
        if (isText) text(n);
        int left = WIDTH / 2 + (int)(WIDTH / 2 * sin(t * 0.9)) - 1, top = HEIGHT / 2 + (int)(HEIGHT / 2 * cos(t * 0.7)) - 1;
        for (int y = 0; y < HEIGHT && !isText; y++)
            memcpy(picture[y], &big[y + (top < 0 ? 0 : top)][left < 0 ? 0 : left], sizeof *picture);
        mark((uint32_t)(uint64_t)(now() * 1000));
        XPutImage(d, w, gc, image, 0, 0, 0, 0, WIDTH, HEIGHT);
        XSync(d, 0);
        double wait = start + (double)n / (isText ? LINES_A_SECOND : FPS) - now();
        struct timespec nap = {0, (long)(wait * 1e9)};
        if (wait > 0) nanosleep(&nap, 0);
    }
}

int main(int argc, char **argv) {
    Display *d = argc == 4 ? XOpenDisplay(0) : 0;
    if (!d) return fprintf(stderr, "usage: source video|text|key X Y, with a DISPLAY\n"), 2;
    int isKey = !strcmp(argv[1], "key"), x = atoi(argv[2]), y = atoi(argv[3]);
    if (isKey) key(d, window(d, x, y, EDGE, EDGE));
    else play(d, window(d, x, y, WIDTH, HEIGHT), !strcmp(argv[1], "text"));
    return 0;
}
