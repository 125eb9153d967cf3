import { isIPv4, type Server } from 'node:net';
import { Server as TlsServer } from 'node:tls';

/** Where a server listens: without a host, on all interfaces. */
export interface ListenAddress {
  host?: string;
  port: number;
}

const ADDRESS = /^(?:\[(?<ipv6>[^\]]+)\]|(?<host>[^:[\]]*)):(?<port>\d{1,5})$/;

/** Parses Go's form of an address: `:8080`, `localhost:8080`, `[::1]:8080`. Undefined when it is malformed. */
export function parseListenAddress(text: string): ListenAddress | undefined {
  const { ipv6, host, port } = ADDRESS.exec(text)?.groups ?? {};
  if (port === undefined || Number(port) > 65_535) return undefined;
  const name = ipv6 || host;
  return name ? { host: name, port: Number(port) } : { port: Number(port) };
}

/** Where a server listens; undefined if it does not, or at a Unix socket. */
export function addressOf(server: Server): ListenAddress | undefined {
  const address = server.address();
  return address === null || typeof address === 'string' || address.port === undefined
    ? undefined
    : { host: address.address, port: address.port };
}

/** What a server speaks. */
export function schemeOf(server: Server): 'http' | 'https' {
  return server instanceof TlsServer ? 'https' : 'http';
}

/** The host by which this machine reaches a server that listens there. */
export function localHost({ host = '::' }: Pick<ListenAddress, 'host'>): string {
  return host === '::' || host === '0.0.0.0' ? 'localhost' : host;
}

/** Whether only this machine can reach it. */
export function isLoopback({ host = '' }: ListenAddress): boolean {
  return host === 'localhost' || host === '::1' || (isIPv4(host) && host.startsWith('127.'));
}

/** The address as it is given on a command line. */
export function formatListenAddress({ host = '', port }: ListenAddress): string {
  return `${host.includes(':') ? `[${host}]` : host}:${port}`;
}
