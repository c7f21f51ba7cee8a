# amd64 benchmark programs; they run on the amd64 target's kernel.
. "$HERE/bench/build.sh"
bench_guest 64 amd64 bench64
