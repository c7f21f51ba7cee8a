# Shared by make.sh and targets/*.sh (sourced, never run): messages, host tools, Debian packages, atomic outputs.

say() { printf 'guests: %s\n' "$*" >&2; }
die() {
  printf 'guests: %s\n' "$*" >&2
  exit 1
}
is_root() { [ "$(id -u)" = 0 ]; }

# need_root WHY: what only root can do says so instead of failing halfway.
need_root() {
  is_root || die "target '$TARGET' must run as root: $1. run: sudo TABBOX_CACHE=$CACHE bash server/guests/make.sh $TARGET"
}

# need_tools TOOL=PACKAGE...: as root installs what is missing; otherwise prints the line that would.
need_tools() {
  local pair missing=()
  PATH=$PATH:/usr/sbin:/sbin
  for pair; do
    command -v "${pair%%=*}" >/dev/null 2>&1 || missing+=("${pair#*=}")
  done
  if [ ${#missing[@]} -gt 0 ]; then install_packages "${missing[@]}"; fi
}

install_packages() {
  local line="apt-get install -y --no-install-recommends $*"
  is_root || die "target '$TARGET' lacks host tools. run: sudo $line"
  say "installing $*"
  export DEBIAN_FRONTEND=noninteractive
  $line >"$WORK/apt-install.log" 2>&1 || { apt-get update -qq >>"$WORK/apt-install.log" 2>&1 || true; $line >>"$WORK/apt-install.log" 2>&1; } ||
    { cat "$WORK/apt-install.log" >&2; die "could not install host tools; try: $line"; }
}

# The machine's own apt sources and proxies, but private state and cache directories and two architectures: the host's
# list of architectures and its package lists stay as they are, and no root is needed.
# TABBOX_DEBIAN_MIRROR=URL takes Debian 12 from there instead, for hosts whose sources are not Debian's.
apt_setup() {
  APT_DIR=$CACHE/apt
  mkdir -p "$APT_DIR"/{state/lists/partial,cache/archives/partial,deb,sources.list.d}
  [ -f "$APT_DIR/status" ] || : >"$APT_DIR/status"
  {
    printf 'Dir::State "%s/state";\nDir::State::lists "%s/state/lists";\nDir::State::status "%s/status";\nDir::Cache "%s/cache";\n' \
      "$APT_DIR" "$APT_DIR" "$APT_DIR" "$APT_DIR"
    printf 'APT::Architecture "amd64";\n#clear APT::Architectures;\nAPT::Architectures { "amd64"; "i386"; };\n'
    printf 'APT::Sandbox::User "root";\nAcquire::Languages "none";\nAcquire::Retries "3";\n#clear Acquire::IndexTargets::deb::Contents-deb;\n'
    printf '#clear APT::Update::Post-Invoke;\n#clear APT::Update::Post-Invoke-Success;\n#clear DPkg::Post-Invoke;\n'
    if [ -n "${TABBOX_DEBIAN_MIRROR:-}" ]; then
      printf 'deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] %s bookworm main\n' "$TABBOX_DEBIAN_MIRROR" >"$APT_DIR/sources.list"
      printf 'Dir::Etc::sourcelist "%s/sources.list";\nDir::Etc::sourceparts "%s/sources.list.d";\n' "$APT_DIR" "$APT_DIR"
    fi
  } >"$APT_DIR/apt.conf"
}

# Package lists older than a day are fetched again, once per run and only if a target needs a package.
apt_update() {
  [ -z "${APT_UPDATED:-}" ] || return 0
  APT_UPDATED=1
  if [ -z "$(find "$APT_DIR/updated" -mmin -1440 2>/dev/null)" ]; then
    say 'reading package lists'
    # A third-party source of the host may have no i386 or be unreachable; what counts is whether packages resolve.
    apt-get -c "$APT_DIR/apt.conf" update -qq >"$APT_DIR/update.log" 2>&1 || say "apt-get update complained, see $APT_DIR/update.log"
    touch "$APT_DIR/updated"
  fi
}

# depends_on PACKAGE:ARCH -> the first package that a metapackage depends on, such as the current kernel image.
depends_on() {
  apt_update
  apt-cache -c "$APT_DIR/apt.conf" depends "$1" 2>/dev/null | awk '/Depends:/ && !n++ { sub(/:.*/, "", $2); print $2 }'
}

# fetch PACKAGE:ARCH -> prints the path of the package's file.
fetch() {
  local name=${1%%:*} arch=${1##*:} deb
  apt_update
  (cd "$APT_DIR/deb" && apt-get -c "$APT_DIR/apt.conf" download -qq "$1" >"$WORK/download.log" 2>&1) || {
    cat "$WORK/download.log" >&2
    rm -f "$APT_DIR/updated"
    die "package $1 cannot be downloaded: this host's apt sources do not offer it or cannot be reached. \
Debian 12's main archive has it; set TABBOX_DEBIAN_MIRROR to the URL of a Debian mirror"
  }
  deb=$(find "$APT_DIR/deb" -name "${name}_*_${arch}.deb" -o -name "${name}_*_all.deb" | xargs ls -t | head -n 1)
  dpkg-deb -f "$deb" Package Version Architecture | awk '{ printf "%s ", $2 } END { print "" }' >>"$WORK/packages"
  echo "$deb"
}

# fetch_source PACKAGE FILE: the path of one file of a source package, such as *.orig.tar.xz, from where the binary ones are.
fetch_source() {
  local mirror dir=$APT_DIR/source
  apt_update
  mirror=${TABBOX_DEBIAN_MIRROR:-$(apt-get -c "$APT_DIR/apt.conf" indextargets --format '$(REPO_URI)' \
    'Identifier: Packages' 'Codename: bookworm' 'Component: main' | head -n 1)}
  mkdir -p "$dir"/{lists/partial,sources.list.d,files}
  printf 'deb-src [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] %s bookworm main\n' "$mirror" >"$dir/sources.list"
  source_apt() {
    apt-get -c "$APT_DIR/apt.conf" -o "Dir::State::lists=$dir/lists" -o "Dir::Etc::sourcelist=$dir/sources.list" \
      -o "Dir::Etc::sourceparts=$dir/sources.list.d" -qq "$@"
  }
  (cd "$dir/files" && { source_apt update && source_apt source --download-only "$1"; } >"$WORK/source.log" 2>&1) || {
    cat "$WORK/source.log" >&2
    die "the source package $1 cannot be downloaded; Debian 12's main archive has it. TABBOX_DEBIAN_MIRROR names a mirror"
  }
  find "$dir/files" -name "$1_$2" | xargs ls -t | head -n 1
}

# unpack PACKAGE:ARCH -> prints the directory with the package's files.
unpack() {
  local dir=$WORK/unpacked/${1##*:}/${1%%:*} deb
  [ -d "$dir" ] && { echo "$dir"; return; }
  deb=$(fetch "$1")
  mkdir -p "$dir"
  dpkg-deb -x "$deb" "$dir"
  echo "$dir"
}

# output SOURCE NAME: moves a finished file into the cache under its name; readers never see half of it.
output() {
  cp --sparse=always "$1" "$OUT/.$2.part"
  chmod 644 "$OUT/.$2.part"
  mv -f "$OUT/.$2.part" "$OUT/$2"
  printf '%s %s\n' "$(stat -c %s "$OUT/$2")" "$2" >>"$WORK/outputs"
}

# host_applet NAME ARG...: cpio and depmod of the busybox package, so that a bare host needs neither; a host that cannot
# run it uses its own.
host_applet() {
  if [ -z "${HOST_BUSYBOX:-}" ]; then
    HOST_BUSYBOX=$(unpack busybox-static:amd64)/bin/busybox
    "$HOST_BUSYBOX" true 2>/dev/null || {
      HOST_BUSYBOX=env
      need_tools cpio=cpio depmod=kmod
    }
  fi
  "$HOST_BUSYBOX" "$@"
}

# pack_initramfs DIR FILE: newc archive with fixed times, owners and inode numbers, so the same inputs give the same bytes.
pack_initramfs() {
  local extra=()
  find "$1" -exec touch -h -d @1700000000 {} +
  host_applet true
  [ "$HOST_BUSYBOX" = env ] || extra=(--ignore-devno --renumber-inodes)
  (cd "$1" && find . | LC_ALL=C sort | host_applet cpio -o -H newc -R 0:0 ${extra[@]+"${extra[@]}"} 2>/dev/null) | gzip -9n >"$2"
}

# need_compilers: a C compiler for both kinds of program, 64- and 32-bit.
need_compilers() {
  need_tools gcc=gcc
  echo 'int main(void) { return 0; }' >"$WORK/probe.c"
  gcc -m32 -static -o "$WORK/probe" "$WORK/probe.c" 2>/dev/null || install_packages gcc-multilib libc6-dev
}

# prepare_foreign ARCH: afterwards `foreign COMMAND...` runs commands that run programs of that architecture, i386 or amd64.
# Many kernels of 64-bit hosts run no i386 programs any more; there QEMU's user-mode emulation does.
prepare_foreign() {
  local busybox
  busybox=$(unpack "busybox-static:$1")/bin/busybox
  FOREIGN=()
  ! "$busybox" true 2>/dev/null || return 0
  [ "$1" = i386 ] || die "this host runs no programs of $1"
  need_tools qemu-i386-static=qemu-user-static unshare=util-linux
  FOREIGN=(unshare --mount bash "$HERE/with-i386.sh")
  "${FOREIGN[@]}" "$busybox" true || die 'this host can neither run i386 programs nor register an emulator for them'
}
foreign() { ${FOREIGN[@]+"${FOREIGN[@]}"} "$@"; }
