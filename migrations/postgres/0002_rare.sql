-- What an auditor asks for among millions of other records: else Postgres would read all of them.

CREATE INDEX audit_record_rare_verdict ON audit_record (id)
    WHERE verdict IN ('refuse', 'clear');
CREATE INDEX audit_record_rare_outcome ON audit_record (id)
    WHERE outcome IN ('refused', 'unanswered', 'failed');
