CREATE TABLE IF NOT EXISTS jobqueue_edges (
	parent TEXT COLLATE "C" NOT NULL, 
	child TEXT COLLATE "C" NOT NULL, 
	PRIMARY KEY (parent, child)
);

CREATE TABLE IF NOT EXISTS jobqueue_gates (
	gate_key TEXT COLLATE "C" NOT NULL, 
	starts TEXT NOT NULL, 
	expires DOUBLE PRECISION NOT NULL, 
	PRIMARY KEY (gate_key)
);

CREATE TABLE IF NOT EXISTS jobqueue_jobs (
	seq BIGSERIAL NOT NULL, 
	id TEXT COLLATE "C" NOT NULL, 
	name TEXT COLLATE "C" NOT NULL, 
	queue TEXT COLLATE "C" NOT NULL, 
	status TEXT COLLATE "C" NOT NULL, 
	data BYTEA NOT NULL, 
	result BYTEA, 
	priority INTEGER NOT NULL, 
	attempts INTEGER NOT NULL, 
	max_attempts INTEGER NOT NULL, 
	fence INTEGER NOT NULL, 
	version INTEGER NOT NULL, 
	waits INTEGER NOT NULL, 
	children SMALLINT NOT NULL, 
	gate SMALLINT NOT NULL, 
	created_at DOUBLE PRECISION NOT NULL, 
	progress DOUBLE PRECISION NOT NULL, 
	aging DOUBLE PRECISION NOT NULL, 
	turn DOUBLE PRECISION NOT NULL, 
	run_at DOUBLE PRECISION, 
	started_at DOUBLE PRECISION, 
	finished_at DOUBLE PRECISION, 
	lease_until DOUBLE PRECISION, 
	timeout DOUBLE PRECISION, 
	result_ttl DOUBLE PRECISION, 
	headers TEXT NOT NULL, 
	depends_on TEXT NOT NULL, 
	on_parent_failure TEXT COLLATE "C" NOT NULL, 
	backoff TEXT, 
	error TEXT, 
	worker TEXT COLLATE "C", 
	limit_key TEXT COLLATE "C", 
	unique_key TEXT COLLATE "C", 
	gate_key TEXT COLLATE "C", 
	PRIMARY KEY (seq), 
	UNIQUE (id)
)
 WITH (fillfactor = 90, autovacuum_vacuum_scale_factor = 0.01, autovacuum_vacuum_threshold = 1000, autovacuum_vacuum_insert_scale_factor = 0.1, autovacuum_analyze_scale_factor = 0.05, autovacuum_vacuum_cost_delay = 0);

CREATE INDEX IF NOT EXISTS jobqueue_delayed ON jobqueue_jobs (run_at) WHERE status = 'delayed' AND waits = 0;

CREATE INDEX IF NOT EXISTS jobqueue_finished ON jobqueue_jobs (status, finished_at) WHERE status IN ('completed', 'failed', 'cancelled');

CREATE INDEX IF NOT EXISTS jobqueue_gated ON jobqueue_jobs (gate_key, gate, turn, seq) WHERE gate_key IS NOT NULL;

CREATE INDEX IF NOT EXISTS jobqueue_leased ON jobqueue_jobs (lease_until) WHERE status = 'processing';

CREATE INDEX IF NOT EXISTS jobqueue_owing ON jobqueue_jobs (seq) WHERE (gate = 4 OR (children = 1 AND status IN ('completed', 'failed', 'cancelled')));

CREATE INDEX IF NOT EXISTS jobqueue_ready ON jobqueue_jobs (queue, turn, seq) WHERE status = 'pending' AND gate <> 1;

CREATE UNIQUE INDEX IF NOT EXISTS jobqueue_unique ON jobqueue_jobs (unique_key) WHERE unique_key IS NOT NULL AND status IN ('pending', 'delayed', 'processing');

CREATE TABLE IF NOT EXISTS jobqueue_paused (
	queue TEXT COLLATE "C" NOT NULL, 
	PRIMARY KEY (queue)
);

CREATE TABLE IF NOT EXISTS jobqueue_ticks (
	name TEXT COLLATE "C" NOT NULL, 
	at DOUBLE PRECISION, 
	PRIMARY KEY (name)
);

CREATE TABLE IF NOT EXISTS jobqueue_workers (
	id TEXT COLLATE "C" NOT NULL, 
	until DOUBLE PRECISION, 
	idle_until DOUBLE PRECISION, 
	PRIMARY KEY (id)
);

CREATE TABLE IF NOT EXISTS jobqueue_schema (version INTEGER NOT NULL, oldest INTEGER NOT NULL);

INSERT INTO jobqueue_schema VALUES (2, 2);

INSERT INTO jobqueue_jobs (id, name, queue, status, data, priority, attempts, max_attempts, fence, version, waits, children, gate, created_at, progress, aging, turn, run_at, started_at, finished_at, lease_until, result_ttl, result, unique_key, worker, headers, depends_on, on_parent_failure)
VALUES
('high', 'job', 'default', 'pending', '\x7b7d', 5, 0, 3, 0, 1, 0, 0, 0, 900.0, 0.0, 0.0, -5.0, NULL, NULL, NULL, NULL, 600.0, NULL, 'k', NULL, '{}', '[]', 'fail'),
('low', 'job', 'default', 'pending', '\x7b7d', 0, 0, 3, 0, 1, 0, 0, 0, 900.0, 0.0, 0.0, 0.0, NULL, NULL, NULL, NULL, 600.0, NULL, NULL, NULL, '{}', '[]', 'fail'),
('later', 'job', 'default', 'delayed', '\x7b7d', 0, 0, 3, 0, 1, 0, 0, 0, 900.0, 0.0, 0.0, 0.0, 1060.0, NULL, NULL, NULL, 600.0, NULL, NULL, NULL, '{}', '[]', 'fail'),
('dead-worker', 'job', 'default', 'processing', '\x7b7d', 0, 1, 3, 1, 1, 0, 0, 0, 900.0, 0.0, 0.0, 0.0, NULL, 950.0, NULL, 990.0, 600.0, NULL, NULL, 'gone', '{}', '[]', 'fail'),
('live-worker', 'job', 'default', 'processing', '\x7b7d', 0, 1, 3, 1, 1, 0, 0, 0, 900.0, 0.0, 0.0, 0.0, NULL, 999.0, NULL, 1030.0, 600.0, NULL, NULL, 'here', '{}', '[]', 'fail'),
('done', 'job', 'default', 'completed', '\x7b7d', 0, 1, 3, 1, 1, 0, 0, 0, 900.0, 100.0, 0.0, 0.0, NULL, 900.0, 910.0, NULL, 50.0, '\x7b2278223a317d', NULL, NULL, '{}', '[]', 'fail'),
('kept', 'job', 'default', 'completed', '\x7b7d', 0, 1, 3, 1, 1, 0, 0, 0, 900.0, 100.0, 0.0, 0.0, NULL, 900.0, 910.0, NULL, 1000000.0, '\x31', NULL, NULL, '{}', '[]', 'fail');
