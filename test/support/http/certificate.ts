import { execFile, spawnSync } from 'node:child_process';
import { promisify } from 'node:util';

/** Whether {@link makeCertificate} can make one. */
export const canMakeCertificates = spawnSync('openssl', ['version']).status === 0;

/** A private key and its certificate, in PEM. */
export interface Certificate {
  key: string;
  cert: string;
}

/** Makes a certificate for 127.0.0.1 and some names, that nobody but itself vouches for. */
export async function makeCertificate(...names: string[]): Promise<Certificate> {
  const alternatives = ['IP:127.0.0.1', ...names.map((name) => `DNS:${name}`)].join(',');
  const { stdout } = await promisify(execFile)('openssl', [
    ...['req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes', '-days', '1'],
    ...['-subj', '/CN=httpfstream-test', '-addext', `subjectAltName=${alternatives}`],
    ...['-keyout', '-', '-out', '-'],
  ]);
  const block = (label: string) =>
    new RegExp(`-----BEGIN ${label}-----[^-]+-----END ${label}-----`).exec(stdout)?.[0] ?? '';
  return { key: block('PRIVATE KEY'), cert: block('CERTIFICATE') };
}
