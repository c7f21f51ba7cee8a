# i386 benchmark programs; they run on the default target's kernel.
. "$HERE/bench/build.sh"
bench_guest 32 i386 bench
