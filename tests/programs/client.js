// What node programs do, a topic a function: client.js TOPIC. The ports come in the environment, from server.py.
'use strict';
const crypto = require('crypto');
const { promises: dns } = require('dns');
const fs = require('fs');
const http = require('http');
const net = require('net');
const dgram = require('dgram');
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
	async udp() {
		// To several from one socket, then from one that is connected, then to where nobody listens.
		const talk = (socket, ...how) => new Promise((done, fail) => {
			socket.once('message', (data, from) => done([digest(data), from.address, from.port === port('udp')]));
			socket.once('error', (error) => done(error.code));
			socket.send(...how, (error) => error && done(error.code));
		});
		const one = dgram.createSocket('udp4');
		for (const size of [1, 1000, 50000])
			console.log(await talk(one, Buffer.alloc(size, 'x'), port('udp'), '127.0.0.1'));
		console.log(await talk(one, [Buffer.from('two '), Buffer.from('parts')], port('udp'), 'localhost'));
		one.close();
		const peer = dgram.createSocket('udp4');
		await new Promise((done) => peer.connect(port('udp'), '127.0.0.1', done));
		console.log(await talk(peer, 'connected'), peer.remoteAddress().port === port('udp'));
		peer.disconnect();
		console.log(await talk(peer, 'disconnected', port('udp'), '127.0.0.1'));
		peer.close();
		const nobody = dgram.createSocket('udp4');
		await new Promise((done) => nobody.connect(port('closed'), '127.0.0.1', done));
		console.log(await talk(nobody, 'x'));
		nobody.close();
	},
	async udp_other() {
		const one = dgram.createSocket('udp4');
		await new Promise((done, fail) => one.send('x', port('silent'), '127.0.0.1', (error) => error ? fail(error) : done()));
		one.close();
	},
	async serve() {
		// A server and its own client: TCP, HTTP and UDP on ports that the kernel chose.
		const server = http.createServer((question, answer) => answer.end(question.url)).listen(0, '127.0.0.1');
		await new Promise((done) => server.once('listening', done));
		process.env.own = server.address().port;
		console.log(await Promise.all(Array.from(Array(20), (_, i) => fetchFrom('own', `/${i}`))));
		server.close();
		const one = dgram.createSocket('udp4');
		one.on('message', (data, from) => data.toString() === 'ping' ? one.send('pong', from.port, from.address) : one.close());
		await new Promise((done) => one.bind(0, '127.0.0.1', done));
		const two = dgram.createSocket('udp4');
		two.send('ping', one.address().port, '127.0.0.1');
		console.log(await new Promise((done) => two.on('message', (data) => done(data.toString()))));
		two.send('end', one.address().port, '127.0.0.1', () => two.close());
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
