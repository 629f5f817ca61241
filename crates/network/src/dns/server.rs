//! The resolver's loop: sockets of all containers, flights to upstream servers, connections, alarms.
//!
//! Acts. It sleeps until a socket has something, and for a time only while a question is with an upstream server or a
//! connection is open. At each turn a socket gets a bounded number of messages, then the next one has its turn.

use super::answer::{Desk, Transport, Turns, Verdict};
use super::connection::Connection;
use super::flight::{Client, Flight, Progress, is_early};
use super::resolver::{Mailbox, Order};
use super::share::Share;
use super::wire::LONGEST_QUERY;
use super::{Names, Upstreams};
use naru_kernel::poll::{Epoll, Interest, Ready};
use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::net::{TcpListener, UdpSocket};
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Questions with upstream servers.
const FLIGHTS: Share = Share { total: 1024, each: 1024 };
/// Connections of clients.
const CONNECTIONS: Share = Share { total: 512, each: 32 };
/// How long a connection may be idle.
const IDLE: Duration = Duration::from_secs(5);
/// Packets that one container is answered at a turn.
const PACKETS: usize = 64;
/// Connections that one container may open at a turn.
const ACCEPTS: usize = 16;
/// How long a listener rests when no connection can be accepted.
const PAUSE: Duration = Duration::from_secs(1);
/// After so many errors in a row a socket is beyond hope.
const FAULTS: u32 = 100;

/// What a token stands for; its number is above these bits.
const BELL: u64 = 0;
const UDP: u64 = 1;
const LISTENER: u64 = 2;
const CONNECTION: u64 = 3;
const FLIGHT: u64 = 4;
const KINDS: u64 = 8;

/// A container that is served.
struct Guest {
    id: Arc<str>,
    udp: UdpSocket,
    listener: TcpListener,
    flights: usize,
    connections: usize,
    turns: Turns,
    faults: u32,
}

/// Random numbers, drawn from the kernel by the lot.
#[derive(Default)]
struct Dice {
    bytes: Vec<u8>,
}

impl Dice {
    fn draw(&mut self) -> Option<u16> {
        if self.bytes.len() < 2 {
            self.bytes.extend_from_slice(&naru_kernel::random::bytes::<512>().ok()?);
        }
        Some(u16::from_be_bytes([self.bytes.pop()?, self.bytes.pop()?]))
    }
}

/// Everything that the thread owns.
pub(super) struct Server {
    epoll: Epoll,
    mailbox: Arc<Mailbox>,
    desk: Desk,
    dice: Dice,
    guests: BTreeMap<u64, Guest>,
    flights: BTreeMap<u64, Flight>,
    connections: BTreeMap<u64, Connection>,
    alarms: BTreeSet<(Instant, u64)>,
    tokens: u64,
    buffer: Vec<u8>,
    message: Vec<u8>,
}

impl Server {
    pub(super) fn new(mailbox: Arc<Mailbox>, names: Arc<dyn Names>) -> io::Result<Server> {
        let epoll = Epoll::new()?;
        epoll.add(mailbox.bell(), BELL, Interest::Read)?;
        Ok(Server {
            epoll,
            mailbox,
            desk: Desk::new(names),
            dice: Dice::default(),
            guests: BTreeMap::new(),
            flights: BTreeMap::new(),
            connections: BTreeMap::new(),
            alarms: BTreeSet::new(),
            tokens: KINDS,
            buffer: vec![0; usize::from(u16::MAX) + 2],
            message: Vec::new(),
        })
    }

    /// Serves until it is told to stop.
    pub(super) fn run(mut self) {
        loop {
            // A fault in the engine's tables costs one question, not all containers' names.
            match std::panic::catch_unwind(AssertUnwindSafe(|| self.work())) {
                Ok(Ok(())) => return,
                Ok(Err(error)) => {
                    tracing::error!(%error, "the resolver of containers cannot wait for its sockets and ends");
                    return;
                }
                Err(_) => {
                    tracing::error!("a question of a container made the resolver panic; it goes on")
                }
            }
        }
    }

    fn work(&mut self) -> io::Result<()> {
        let mut ready: Vec<Ready> = Vec::new();
        loop {
            let timeout = self
                .alarms
                .first()
                .map(|(alarm, _)| alarm.saturating_duration_since(Instant::now()));
            ready.clear();
            self.epoll.wait(timeout, &mut ready)?;
            for event in &ready {
                let token = event.token;
                match token % KINDS {
                    BELL => {
                        for order in self.mailbox.take() {
                            match order {
                                Order::Serve(id, udp, listener) => self.serve(id, udp, listener),
                                Order::Leave(id) => self.leave(&id),
                                Order::Stop => return Ok(()),
                            }
                        }
                    }
                    UDP => self.packets(token - UDP),
                    LISTENER => self.accept(token - LISTENER),
                    CONNECTION => self.converse(token, event.closed && !event.readable),
                    _ => self.proceed(token),
                }
            }
            self.ring();
        }
    }

    /// A number for something new, with room for a kind.
    fn number(&mut self) -> u64 {
        self.tokens += KINDS;
        self.tokens
    }

    fn serve(&mut self, id: Arc<str>, udp: UdpSocket, listener: TcpListener) {
        self.leave(&id);
        let number = self.number();
        let watched = self
            .epoll
            .add(&udp, number + UDP, Interest::Read)
            .and_then(|()| self.epoll.add(&listener, number + LISTENER, Interest::Read));
        if let Err(error) = watched {
            tracing::error!(%error, container = %id, "cannot watch the sockets on which a container asks for names");
            return;
        }
        let turns = Turns::begin(usize::from(self.dice.draw().unwrap_or(0)));
        let guest = Guest { id, udp, listener, flights: 0, connections: 0, turns, faults: 0 };
        self.guests.insert(number, guest);
    }

    fn leave(&mut self, id: &str) {
        let number =
            self.guests.iter().find(|(_, guest)| *guest.id == *id).map(|(number, _)| *number);
        let Some(guest) = number.and_then(|number| self.guests.remove(&number)) else { return };
        // Somebody else may hold copies of these; a listener that rests is not watched.
        drop(self.epoll.remove(&guest.udp));
        drop(self.epoll.remove(&guest.listener));
        self.flights.retain(|_, flight| Some(flight.guest) != number);
        self.connections.retain(|_, connection| Some(connection.guest) != number);
        let (flights, connections) = (&self.flights, &self.connections);
        let resting = number.map(|number| number + LISTENER);
        self.alarms.retain(|(_, token)| match token % KINDS {
            FLIGHT => flights.contains_key(token),
            CONNECTION => connections.contains_key(token),
            _ => Some(*token) != resting,
        });
    }

    fn packets(&mut self, number: u64) {
        for _ in 0..PACKETS {
            let Some(guest) = self.guests.get_mut(&number) else { return };
            let (length, client) = match guest.udp.recv_from(&mut self.buffer) {
                Ok(received) => received,
                Err(error) if is_early(&error) => return,
                Err(error) => {
                    guest.faults += 1;
                    if guest.faults > FAULTS {
                        tracing::error!(%error, container = %guest.id, "cannot receive a container's questions any more");
                        drop(self.epoll.remove(&guest.udp));
                    }
                    return;
                }
            };
            guest.faults = 0;
            let Some(message) = self.buffer.get(..length.min(LONGEST_QUERY)) else { return };
            match self.desk.decide(message, Transport::Udp, &guest.id, &mut guest.turns) {
                Verdict::Silence => {}
                // A client that does not take its answers asks again.
                Verdict::Reply => drop(guest.udp.send_to(&self.desk.reply, client)),
                Verdict::Forward(upstreams) => {
                    self.message.clear();
                    self.message.extend_from_slice(message);
                    self.forward(number, Client::Udp(client), upstreams);
                }
            }
        }
    }

    /// Sends the present message on its way to `upstreams`.
    fn forward(&mut self, number: u64, client: Client, upstreams: Arc<Upstreams>) {
        let taken = self.flights.len();
        let Some(guest) = self.guests.get_mut(&number) else { return };
        if !FLIGHTS.admits(taken, guest.flights) {
            self.desk.fail(&self.message);
            return self.deliver(number, client);
        }
        guest.flights += 1;
        if let Client::Tcp(token) = client
            && let Some(connection) = self.connections.get_mut(&token)
        {
            connection.waiting += 1;
        }
        let now = Instant::now();
        let first = usize::from(self.dice.draw().unwrap_or(0));
        let mut flight = Flight::new((number, client), &self.message, upstreams, first, now);
        let progress = flight.ask(now, || self.dice.draw());
        let token = self.number() + FLIGHT;
        self.alarms.insert((flight.alarm, token));
        self.flights.insert(token, flight);
        self.follow(token, progress);
    }

    /// The socket of a flight has something to say.
    fn proceed(&mut self, token: u64) {
        let Some(flight) = self.flights.get_mut(&token) else { return };
        self.alarms.remove(&(flight.alarm, token));
        let client = flight.client;
        let progress = flight.proceed(Instant::now(), &mut self.buffer, || self.dice.draw());
        self.alarms.insert((flight.alarm, token));
        self.follow(token, progress);
        self.flush(client);
    }

    /// The time of a flight's present server is over.
    fn hurry(&mut self, token: u64, now: Instant) {
        let Some(flight) = self.flights.get_mut(&token) else { return };
        let client = flight.client;
        let progress = flight.ask(now, || self.dice.draw());
        self.alarms.insert((flight.alarm, token));
        self.follow(token, progress);
        self.flush(client);
    }

    fn flush(&mut self, client: Client) {
        if let Client::Tcp(token) = client {
            self.pump(token);
        }
    }

    /// Does what a flight needs.
    fn follow(&mut self, token: u64, progress: Progress) {
        let Some(flight) = self.flights.get(&token) else { return };
        let watched = match (&progress, flight.socket()) {
            (Progress::Watch { writes: true }, Some(socket)) => {
                self.epoll.add(socket, token, Interest::Write)
            }
            (Progress::Watch { writes: false }, Some(socket)) => {
                self.epoll.add(socket, token, Interest::Read)
            }
            (Progress::Listen, Some(socket)) => self.epoll.change(socket, token, Interest::Read),
            _ => Ok(()),
        };
        match progress {
            Progress::Wait | Progress::Watch { .. } | Progress::Listen if watched.is_ok() => return,
            Progress::Answered(length) => {
                let answer = self.buffer.get(..length).unwrap_or_default();
                let transport = match flight.client {
                    Client::Udp(_) => Transport::Udp,
                    Client::Tcp(_) => Transport::Tcp,
                };
                self.desk.hand_on(answer, &flight.query, transport);
            }
            Progress::Truncated => self.desk.truncate(&flight.query),
            _ => self.desk.fail(&flight.query),
        }
        let Some(flight) = self.flights.remove(&token) else { return };
        self.alarms.remove(&(flight.alarm, token));
        if let Some(guest) = self.guests.get_mut(&flight.guest) {
            guest.flights = guest.flights.saturating_sub(1);
        }
        if let Client::Tcp(token) = flight.client
            && let Some(connection) = self.connections.get_mut(&token)
        {
            connection.waiting = connection.waiting.saturating_sub(1);
        }
        self.deliver(flight.guest, flight.client);
    }

    /// Gives the reply on the desk to its client; over a connection it is sent by the next [`Server::pump`].
    fn deliver(&mut self, number: u64, client: Client) {
        match client {
            Client::Udp(client) => {
                if let Some(guest) = self.guests.get(&number) {
                    drop(guest.udp.send_to(&self.desk.reply, client));
                }
            }
            Client::Tcp(token) => {
                let Some(connection) = self.connections.get_mut(&token) else { return };
                if connection.push(&self.desk.reply).is_err() {
                    self.close(token);
                }
            }
        }
    }

    fn accept(&mut self, number: u64) {
        for _ in 0..ACCEPTS {
            let token = self.number() + CONNECTION;
            let taken = self.connections.len();
            let Some(guest) = self.guests.get_mut(&number) else { return };
            let stream = match guest.listener.accept() {
                Ok((stream, _)) => stream,
                Err(error) if is_early(&error) => return,
                Err(error) if error.kind() == io::ErrorKind::ConnectionAborted => continue,
                Err(error) => {
                    tracing::warn!(%error, container = %guest.id, "cannot accept a connection of a container to its resolver");
                    drop(self.epoll.remove(&guest.listener));
                    self.alarms.insert((Instant::now() + PAUSE, number + LISTENER));
                    return;
                }
            };
            let ready = CONNECTIONS.admits(taken, guest.connections)
                && stream.set_nonblocking(true).is_ok()
                && self.epoll.add(&stream, token, Interest::Read).is_ok();
            if ready {
                guest.connections += 1;
                let alarm = Instant::now() + IDLE;
                self.alarms.insert((alarm, token));
                self.connections.insert(token, Connection::new(number, stream, alarm));
            }
        }
    }

    /// A listener has rested.
    fn wake(&mut self, token: u64) {
        let Some(guest) = self.guests.get(&(token - LISTENER)) else { return };
        if let Err(error) = self.epoll.add(&guest.listener, token, Interest::Read) {
            tracing::error!(%error, container = %guest.id, "cannot watch for connections of a container to its resolver");
        }
    }

    fn converse(&mut self, token: u64, broken: bool) {
        let Some(connection) = self.connections.get_mut(&token) else { return };
        if broken || connection.fill(&mut self.buffer).is_err() {
            return self.close(token);
        }
        self.pump(token);
    }

    /// Answers what a connection has asked, as far as its client takes answers.
    fn pump(&mut self, token: u64) {
        loop {
            let Some(connection) = self.connections.get_mut(&token) else { return };
            let number = connection.guest;
            match connection.next(&mut self.message) {
                Ok(true) => self.respond(token, number),
                Ok(false) => match connection.flush() {
                    Ok(any) => {
                        let goes_on = connection.has_next();
                        if any {
                            self.touch(token);
                        }
                        if !goes_on {
                            return self.settle(token);
                        }
                    }
                    Err(_) => return self.close(token),
                },
                Err(_) => return self.close(token),
            }
        }
    }

    /// Answers the present message, which came over a connection.
    fn respond(&mut self, token: u64, number: u64) {
        let Some(guest) = self.guests.get_mut(&number) else { return };
        match self.desk.decide(&self.message, Transport::Tcp, &guest.id, &mut guest.turns) {
            Verdict::Silence => {}
            Verdict::Reply => self.deliver(number, Client::Tcp(token)),
            Verdict::Forward(upstreams) => self.forward(number, Client::Tcp(token), upstreams),
        }
        self.touch(token);
    }

    /// Lets a connection live on.
    fn touch(&mut self, token: u64) {
        let Some(connection) = self.connections.get_mut(&token) else { return };
        self.alarms.remove(&(connection.alarm, token));
        connection.alarm = Instant::now() + IDLE;
        self.alarms.insert((connection.alarm, token));
    }

    fn settle(&mut self, token: u64) {
        let Some(connection) = self.connections.get_mut(&token) else { return };
        let wants = connection.wants();
        if connection.is_over() {
            return self.close(token);
        }
        if wants != connection.interest {
            connection.interest = wants;
            if self.epoll.change(&connection.stream, token, wants).is_err() {
                self.close(token);
            }
        }
    }

    fn close(&mut self, token: u64) {
        let Some(connection) = self.connections.remove(&token) else { return };
        self.alarms.remove(&(connection.alarm, token));
        if let Some(guest) = self.guests.get_mut(&connection.guest) {
            guest.connections = guest.connections.saturating_sub(1);
        }
    }

    /// Handles the alarms whose time has come.
    fn ring(&mut self) {
        if self.alarms.is_empty() {
            return;
        }
        let now = Instant::now();
        while let Some(&(alarm, token)) = self.alarms.first()
            && alarm <= now
        {
            self.alarms.pop_first();
            match token % KINDS {
                FLIGHT => self.hurry(token, now),
                LISTENER => self.wake(token),
                _ if self
                    .connections
                    .get(&token)
                    .is_some_and(|connection| connection.waiting > 0) =>
                {
                    self.touch(token);
                }
                _ => self.close(token),
            }
        }
    }
}
