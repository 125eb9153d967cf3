/** One part of a form. */
export interface FormPart {
  /** The file's name as it stands in the header; undefined: a field. */
  filename?: string;
  /** Lines beside `Content-Disposition`. */
  headers?: readonly string[];
  body: string | Buffer;
}

export const BOUNDARY = '----test-boundary';

/** The Content-Type of {@link formOf}. */
export const FORM_TYPE = `multipart/form-data; boundary=${BOUNDARY}`;

/** The body of a form. */
export function formOf(parts: readonly FormPart[]): Buffer {
  return Buffer.concat([...parts.map(partOf), Buffer.from(`--${BOUNDARY}--\r\n`)]);
}

/** One part, from its delimiter to the line end after its body. */
export function partOf({ filename, headers = [], body }: FormPart): Buffer {
  return Buffer.concat([headOf({ filename, headers }), Buffer.from(body), Buffer.from('\r\n')]);
}

/** What stands before the body of a part. */
export function headOf({
  filename,
  headers = [],
}: {
  filename?: string | undefined;
  headers?: readonly string[];
}): Buffer {
  const name = filename === undefined ? '' : `; filename="${filename}"`;
  return Buffer.from(
    [`--${BOUNDARY}`, `Content-Disposition: form-data; name="part"${name}`, ...headers, '', ''].join('\r\n'),
  );
}
