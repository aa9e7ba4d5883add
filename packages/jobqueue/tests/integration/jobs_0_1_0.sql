BEGIN TRANSACTION;
CREATE TABLE jobqueue_jobs (
	seq INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT, 
	id TEXT NOT NULL, 
	name TEXT NOT NULL, 
	queue TEXT NOT NULL, 
	status TEXT NOT NULL, 
	headers TEXT NOT NULL, 
	data BLOB NOT NULL, 
	result BLOB, 
	priority INTEGER NOT NULL, 
	attempts INTEGER NOT NULL, 
	max_attempts INTEGER NOT NULL, 
	fence INTEGER NOT NULL, 
	version INTEGER NOT NULL, 
	created_at DOUBLE NOT NULL, 
	progress DOUBLE NOT NULL, 
	run_at DOUBLE, 
	started_at DOUBLE, 
	finished_at DOUBLE, 
	lease_until DOUBLE, 
	timeout DOUBLE, 
	result_ttl DOUBLE, 
	worker TEXT, 
	backoff TEXT, 
	unique_key TEXT, 
	error TEXT, 
	UNIQUE (id)
);
INSERT INTO "jobqueue_jobs" VALUES(1,'runs','runs','default','processing','{}',X'7B7D',NULL,9,1,3,1,1,1750000000.0,0.0,NULL,1750000000.0,NULL,1750000010.0,NULL,NULL,'w1',NULL,NULL,NULL);
INSERT INTO "jobqueue_jobs" VALUES(2,'low','low','default','pending','{}',X'7B7D',NULL,-5,0,3,0,1,1750000000.0,0.0,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL);
INSERT INTO "jobqueue_jobs" VALUES(3,'high','high','default','pending','{}',X'7B7D',NULL,5,0,3,0,1,1750000000.0,0.0,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,'k',NULL);
INSERT INTO "jobqueue_jobs" VALUES(4,'later','later','default','delayed','{}',X'7B7D',NULL,0,0,3,0,1,1750000000.0,0.0,1750000060.0,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL);
INSERT INTO "jobqueue_jobs" VALUES(5,'done','done','default','completed','{}',X'7B7D',X'7B2278223A317D',8,1,3,1,1,1750000000.0,100.0,NULL,1750000000.0,1750000000.0,NULL,NULL,5.0,NULL,NULL,NULL,NULL);
CREATE TABLE jobqueue_paused (
	queue TEXT NOT NULL, 
	PRIMARY KEY (queue)
);
INSERT INTO "jobqueue_paused" VALUES('other');
CREATE TABLE jobqueue_schema (version INTEGER NOT NULL, oldest INTEGER NOT NULL);
INSERT INTO "jobqueue_schema" VALUES(1,1);
CREATE TABLE jobqueue_ticks (
	name TEXT NOT NULL, 
	at DOUBLE, 
	PRIMARY KEY (name)
);
INSERT INTO "jobqueue_ticks" VALUES('cron',100.0);
CREATE TABLE jobqueue_workers (
	id TEXT NOT NULL, 
	until DOUBLE, 
	PRIMARY KEY (id)
);
INSERT INTO "jobqueue_workers" VALUES('w1',1750000010.0);
CREATE INDEX jobqueue_delayed ON jobqueue_jobs (run_at) WHERE status = 'delayed';
CREATE INDEX jobqueue_finished ON jobqueue_jobs (status, finished_at);
CREATE INDEX jobqueue_leased ON jobqueue_jobs (lease_until) WHERE status = 'processing';
CREATE INDEX jobqueue_ready ON jobqueue_jobs (queue, priority DESC, seq) WHERE status = 'pending';
CREATE UNIQUE INDEX jobqueue_unique ON jobqueue_jobs (unique_key) WHERE unique_key IS NOT NULL AND status IN ('pending', 'delayed', 'processing');
DELETE FROM "sqlite_sequence";
INSERT INTO "sqlite_sequence" VALUES('jobqueue_jobs',5);
COMMIT;
