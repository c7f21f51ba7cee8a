import { createSocket, type Socket as UdpSocket } from 'node:dgram';

/** A name server of the host that knows one name. Source: RFC 1035, section 4. */
export async function nameServer(name: string, address: readonly number[]): Promise<UdpSocket> {
  const labels = name.split('.').flatMap((label) => [label.length, ...Buffer.from(label)]);
  const server = createSocket('udp4');
  server.on('message', (query, from) => {
    const asked = query.subarray(12, 12 + labels.length + 5);
    const isKnown = asked.subarray(0, labels.length).equals(Buffer.from(labels));
    const isAddress = asked[labels.length + 2] === 1;
    const answer = isKnown && isAddress ? [0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 60, 0, 4, ...address] : [];
    // QR, RD, RA; NXDOMAIN for other names.
    const flags = [0x81, isKnown ? 0x80 : 0x83];
    const counts = [0, 1, 0, answer.length > 0 ? 1 : 0, 0, 0, 0, 0];
    server.send(
      Buffer.from([...query.subarray(0, 2), ...flags, ...counts, ...asked, ...answer]),
      from.port,
      from.address,
    );
  });
  await new Promise<void>((resolve) => server.bind(0, '127.0.0.1', resolve));
  return server;
}
