// What node programs do, a topic a function: client.js TOPIC. The ports come in the environment, from server.py.
'use strict';
const crypto = require('crypto');
const { promises: dns } = require('dns');
const fs = require('fs');
const http = require('http');
const net = require('net');
const { execFileSync, fork, spawn } = require('child_process');
const { isMainThread, parentPort, Worker, workerData } = require('worker_threads');

const port = (name) => Number(process.env[name]);
const digest = (data) => crypto.createHash('sha256').update(data).digest('hex');

const fetchFrom = (name, path) => new Promise((done, fail) => {
	http.get({ host: '127.0.0.1', port: port(name), path }, (answer) => {
		const parts = [];
		answer.on('data', (part) => parts.push(part));
		answer.on('end', () => done([answer.statusCode, digest(Buffer.concat(parts))]));
	}).on('error', fail);
});

const failure = (name) => new Promise((done) => {
	net.connect(port(name), '127.0.0.1').on('error', (error) => done(error.code)).on('connect', () => done('connected'));
});

const topics = {
	async http() {
		const paths = ['/small.txt', '/big.bin', '/missing', ...Array(10).fill('/small.txt')];
		console.log(await Promise.all(paths.map((path) => fetchFrom('http4', path))));
		console.log(await failure('closed'));
	},
	async other() {
		console.log(await fetchFrom('other', '/small.txt'));
	},
	async fs() {
		fs.mkdirSync('a/b', { recursive: true });
		fs.writeFileSync('a/b/one', 'x'.repeat(100000));
		await fs.promises.copyFile('a/b/one', 'a/two');
		fs.renameSync('a/two', 'a/b/two');
		fs.symlinkSync('b/two', 'a/link');
		fs.chmodSync('a/b/one', 0o600);
		await fs.promises.appendFile('a/b/one', 'end');
		console.log(fs.readdirSync('a', { recursive: true }).sort(), digest(fs.readFileSync('a/link')));
		fs.mkdtempSync('tmp-');
		for (const name of fs.readdirSync('.').filter((name) => name.startsWith('tmp-'))) fs.rmdirSync(name);
	},
	async child() {
		console.log(execFileSync('sh', ['-c', 'seq 3 | tac']).toString());
		const child = spawn('cat');
		child.stdout.on('data', (data) => console.log(data.toString()));
		child.stdin.end('through cat');
		console.log(await new Promise((done) => child.on('close', (...how) => done(how))));
		const peer = fork(__filename, ['peer']);
		peer.send(20);
		console.log(await new Promise((done) => peer.on('message', done)));
		console.log(await new Promise((done) => peer.on('close', (...how) => done(how))));
	},
	async peer() {
		process.once('message', (number) => process.send(number + 1, () => process.disconnect()));
	},
	async dns() {
		console.log(await dns.lookup('127.0.0.1'), await dns.lookup('::1'));
	},
	async worker() {
		const one = (number) => new Promise((done, fail) => {
			new Worker(__filename, { workerData: number }).on('message', done).on('error', fail);
		});
		console.log(await Promise.all([1, 2, 3, 4].map(one)));
	},
};

if (isMainThread)
	topics[process.argv[2]]().catch((error) => {
		console.log('Error', error.code);
		process.exit(1);
	});
else
	fetchFrom('http4', '/small.txt').then((answer) => parentPort.postMessage([workerData * 2, ...answer]));
