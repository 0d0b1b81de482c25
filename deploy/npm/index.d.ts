import type { ChannelCredentials, ClientReadableStream } from "@grpc/grpc-js";

/** A method of a service: a promise of the response, or a stream that is an async iterable. */
export type Method = (request: object) => Promise<any> & ClientReadableStream<any>;
export type Service = Record<string, Method>;

export interface Client {
  tasks: Service;
  runs: Service;
  approvals: Service;
  events: Service;
  tools: Service;
  state: Service;
  agents: Service;
  system: Service;
  /** Closes the connections. */
  close(): void;
}

export interface Options {
  /** Access token; ORDINAUT_TOKEN by default. */
  token?: string;
  /** Credentials of the channel; without TLS by default. */
  credentials?: ChannelCredentials;
  /** Limit of calls that do not stream; 60 s by default. */
  deadlineMs?: number;
}

/** The folder of the proto files. */
export const protos: string;
/** Opens the services of the gateway at `host:port`. */
export function connect(address: string, options?: Options): Client;
/** Plain JSON as google.protobuf.Value. */
export function value(plain: unknown): object;
/** A plain object as google.protobuf.Struct. */
export function struct(plain: Record<string, unknown>): object;
/** A google.protobuf.Value or Struct as plain JSON. */
export function json(message: object | null | undefined): any;
