package bus

import (
	"slices"

	"tickcast/wire"
)

// Role is a kind of process, and the name of its NATS user.
type Role string

// The roles. The operator API runs inside gateways, on a connection of its own.
const (
	RoleGateway  Role = "gateway"
	RoleRoom     Role = "room"
	RoleLedger   Role = "ledger"
	RoleOperator Role = "operator"
	RoleAuditor  Role = "auditor"
)

// Roles lists all roles, in the order of a rendered configuration.
func Roles() []Role { return []Role{RoleGateway, RoleRoom, RoleLedger, RoleOperator, RoleAuditor} }

// PermissionSet says on which subjects a role may publish and subscribe.
// Whatever is not allowed is refused, and Deny wins over Publish.
type PermissionSet struct {
	Publish   []string
	Deny      []string // of Publish
	Subscribe []string
}

// InboxPrefix is where the replies to a role's requests go.
func InboxPrefix(r Role) string { return "_INBOX." + string(r) }

// Permissions are what a role may do. An unknown role may do nothing.
func Permissions(r Role) PermissionSet {
	var s PermissionSet
	switch r {
	case RoleGateway:
		s = gatewayPermissions()
	case RoleRoom:
		s = roomPermissions()
	case RoleLedger:
		s = ledgerPermissions()
	case RoleOperator:
		s = operatorPermissions()
	case RoleAuditor:
		s = auditorPermissions()
	default:
		return PermissionSet{}
	}
	s.Subscribe = append(s.Subscribe, InboxPrefix(r)+".>")
	return s
}

func gatewayPermissions() PermissionSet {
	return PermissionSet{
		Publish: slices.Concat(
			[]string{"cmd.>", "chat.*", "ses.*", "prs.*", "node.gateway.*", "ask.*", "asf.*", "ping.*", "gwr.*", InboxPrefix(RoleGateway) + ".>", wire.LedgerQuerySubject},
			readBucket(wire.BucketSystem), readBucket(wire.BucketRooms), readBucket(wire.BucketSanctions),
			readStream(wire.StreamChat),
		),
		Subscribe: []string{"out.>", "rsp.*", "chatout.>", "prs.*", "node.>", "gwr.*"},
	}
}

// roomPermissions include the whole of JetStream except what would destroy
// history: room servers make streams, trim them, and keep checkpoints.
func roomPermissions() PermissionSet {
	return PermissionSet{
		Publish: []string{
			"own.*", "evt.*", "out.>", "rsp.*", "ldg.*", "node.room.*", "ask.*", "ping.*", "offer.>", wire.LedgerQuerySubject,
			"$KV." + wire.BucketSystem + ".>", "$KV." + wire.BucketRooms + ".>", "$KV." + wire.BucketSanctions + ".>",
			"$O." + wire.BucketCheckpoint + ".>", "$O." + wire.BucketArchive + ".>",
			"$JS.API.>", "$JS.ACK.>", "$JS.FC.>", "_INBOX.>",
		},
		Deny: []string{
			"$JS.API.STREAM.DELETE.>", "$JS.API.STREAM.MSG.DELETE.>", "$JS.API.STREAM.RESTORE.>",
			"$JS.API.ACCOUNT.>", "$JS.API.SERVER.>", "$JS.API.META.>",
		},
		Subscribe: []string{"log.>", "ask.*", "asf.*", "ping.*", "offer.>", "node.>", "prs.*"},
	}
}

func ledgerPermissions() PermissionSet {
	return PermissionSet{
		Publish: slices.Concat(
			[]string{"res.*", "node.ledger.*", "_INBOX.>"},
			consumeStream(wire.StreamLedger), consumeStream(wire.StreamSessions),
			readBucket(wire.BucketSystem),
		),
		Subscribe: []string{wire.LedgerQuerySubject, wire.LedgerOrderSubject},
	}
}

func operatorPermissions() PermissionSet {
	return PermissionSet{
		Publish: slices.Concat(
			[]string{"adm.>", "ask.*", "asf.*", "ping.*", wire.LedgerQuerySubject, wire.LedgerOrderSubject, "$JS.API.STREAM.INFO.*"},
			readBucket(wire.BucketSystem), readBucket(wire.BucketRooms), readBucket(wire.BucketSanctions),
		),
		Subscribe: []string{"rsp.*", "node.>", "prs.*"},
	}
}

// auditorPermissions are to read the logs, what was trimmed from them, and the number of
// partitions, which is not known when they are rendered: so every stream is allowed and
// the others are denied.
func auditorPermissions() PermissionSet {
	s := PermissionSet{Publish: append(readLog("*"), watchStream("OBJ_"+wire.BucketArchive)...)}
	for _, other := range []string{
		wire.StreamLedger, wire.StreamChat, wire.StreamSessions,
		"KV_" + wire.BucketRooms, "KV_" + wire.BucketSanctions, "OBJ_" + wire.BucketCheckpoint,
	} {
		s.Deny = append(s.Deny, readLog(other)...)
	}
	return s
}

// readLog is what reading every record of a stream as it is stored needs.
func readLog(stream string) []string {
	return append(readStream(stream), "$JS.API.STREAM.MSG.GET."+stream)
}

// readStream is what direct gets from a stream need.
func readStream(stream string) []string {
	return []string{
		"$JS.API.STREAM.INFO." + stream,
		"$JS.API.DIRECT.GET." + stream, "$JS.API.DIRECT.GET." + stream + ".>",
	}
}

// readBucket is what getting and watching keys needs.
func readBucket(bucket string) []string { return watchStream("KV_" + bucket) }

// watchStream is what getting and watching keys needs, and listing and getting objects: both
// make ephemeral consumers with flow control.
func watchStream(stream string) []string {
	return append(readStream(stream),
		"$JS.API.CONSUMER.CREATE."+stream+".>", "$JS.API.CONSUMER.DELETE."+stream+".*",
		"$JS.API.CONSUMER.INFO."+stream+".*", "$JS.FC."+stream+".>",
	)
}

// consumeStream is what a durable pull consumer needs.
func consumeStream(stream string) []string {
	return []string{
		"$JS.API.STREAM.INFO." + stream,
		"$JS.API.CONSUMER.CREATE." + stream + ".>", "$JS.API.CONSUMER.DURABLE.CREATE." + stream + ".*",
		"$JS.API.CONSUMER.INFO." + stream + ".*", "$JS.API.CONSUMER.MSG.NEXT." + stream + ".*",
		"$JS.API.CONSUMER.DELETE." + stream + ".*",
		"$JS.ACK." + stream + ".>",
	}
}
