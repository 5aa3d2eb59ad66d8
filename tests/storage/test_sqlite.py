import pytest
from perdure.testing.conformance import StorageConformance
from perdure.storage.sqlite import SQLiteStorage
class TestSQLite(StorageConformance):
    @pytest.fixture
    def storage(self, tmp_path):
        s=SQLiteStorage(str(tmp_path/"it.db")); s.migrate(0); yield s; s.close()
