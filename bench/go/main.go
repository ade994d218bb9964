// The peer of the benchmark: the first version of this service as it was described, in Go.
//
// It reads 50 messages at a time with ten workers, classifies by maps, writes one UpdateOne a document in a bulk a
// collection, raises the boards by one ZINCRBY each in a pipeline, and acknowledges each message by an XACK of its
// own. It gives none of the guarantees: no dead letters, no session events, nothing atomic.
package main

import (
	"context"
	"errors"
	"fmt"
	"log"
	"net/url"
	"os"
	"os/signal"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/redis/go-redis/v9"
	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"
)

const (
	batchSize = 50
	workers   = 10
	block     = 2 * time.Second
)

var notWork = map[string]bool{
	"SNS": true, "Entertainment": true, "Game": true, "E-commerce & Shopping": true, "AFK": true,
	"Uncategorized": true, "Communication": true, "Music": true,
}

type pattern struct {
	ID             bson.ObjectID `bson:"_id"`
	Category       string        `bson:"category"`
	AppPatterns    []string      `bson:"appPatterns"`
	DomainPatterns []string      `bson:"domainPatterns"`
}

// rules knows a category by the app's name and by the host or one of its parents.
type rules struct {
	apps, hosts   map[string]*pattern
	uncategorized *pattern
}

func loadRules(ctx context.Context, patterns *mongo.Collection) (*rules, error) {
	cursor, err := patterns.Find(ctx, bson.D{})
	if err != nil {
		return nil, err
	}
	var found []*pattern
	if err := cursor.All(ctx, &found); err != nil {
		return nil, err
	}
	r := &rules{apps: map[string]*pattern{}, hosts: map[string]*pattern{}}
	for _, p := range found {
		for _, app := range p.AppPatterns {
			r.apps[strings.ToLower(app)] = p
		}
		for _, host := range p.DomainPatterns {
			r.hosts[host] = p
		}
		if p.Category == "Uncategorized" {
			r.uncategorized = p
		}
	}
	if r.uncategorized == nil {
		return nil, errors.New("the store has no patterns")
	}
	return r, nil
}

func (r *rules) classify(app, address string) *pattern {
	if parsed, err := url.Parse(address); err == nil && parsed.Host != "" {
		for host := strings.TrimPrefix(parsed.Hostname(), "www."); host != ""; {
			if p := r.hosts[host]; p != nil {
				return p
			}
			_, host, _ = strings.Cut(host, ".")
		}
	}
	if p := r.apps[strings.ToLower(app)]; p != nil {
		return p
	}
	return r.uncategorized
}

type service struct {
	redis         *redis.Client
	data, logs    *mongo.Collection
	rules         *rules
	zone          *time.Location
	stream, group string
}

func (s *service) work(ctx context.Context, name string) error {
	for ctx.Err() == nil {
		streams, err := s.redis.XReadGroup(ctx, &redis.XReadGroupArgs{
			Group: s.group, Consumer: name, Streams: []string{s.stream, ">"}, Count: batchSize, Block: block,
		}).Result()
		if errors.Is(err, redis.Nil) {
			continue
		} else if err != nil {
			return err
		}
		for _, stream := range streams {
			if err := s.process(ctx, stream.Messages); err != nil {
				return err
			}
		}
	}
	return ctx.Err()
}

func (s *service) process(ctx context.Context, messages []redis.XMessage) error {
	data := make([]mongo.WriteModel, 0, len(messages))
	logs := make([]mongo.WriteModel, 0, len(messages))
	boards := s.redis.Pipeline()
	for _, message := range messages {
		text := func(name string) string { value, _ := message.Values[name].(string); return value }
		found := s.rules.classify(text("app"), text("url"))
		dataID, err := bson.ObjectIDFromHex(text("categorizedDataId"))
		if err != nil {
			return err
		}
		logID, err := bson.ObjectIDFromHex(text("pomodoroUsageLogId"))
		if err != nil {
			return err
		}
		category := bson.D{{Key: "categoryId", Value: found.ID}, {Key: "IsLLMBased", Value: false}}
		data = append(data, mongo.NewUpdateOneModel().
			SetFilter(bson.D{{Key: "_id", Value: dataID}}).SetUpdate(bson.D{{Key: "$set", Value: category}}))
		logs = append(logs, mongo.NewUpdateOneModel().
			SetFilter(bson.D{{Key: "_id", Value: logID}}).SetUpdate(bson.D{{Key: "$set", Value: category[:1]}}))
		if err := s.raise(ctx, boards, found.Category, text); err != nil {
			return err
		}
	}
	unordered := options.BulkWrite().SetOrdered(false)
	if _, err := s.data.BulkWrite(ctx, data, unordered); err != nil {
		return err
	}
	if _, err := s.logs.BulkWrite(ctx, logs, unordered); err != nil {
		return err
	}
	if _, err := boards.Exec(ctx); err != nil {
		return err
	}
	for _, message := range messages {
		if err := s.redis.XAck(ctx, s.stream, s.group, message.ID).Err(); err != nil {
			return err
		}
	}
	return nil
}

func (s *service) raise(ctx context.Context, boards redis.Pipeliner, category string, text func(string) string) error {
	duration, err := strconv.ParseFloat(text("duration"), 64)
	if err != nil {
		return err
	}
	seconds, err := strconv.ParseFloat(text("timestamp"), 64)
	if err != nil {
		return err
	}
	at := time.UnixMilli(int64(seconds * 1000)).In(s.zone)
	year, week := at.ISOWeek()
	names := []string{category}
	if !notWork[category] {
		names = append(names, "work")
	}
	for _, name := range names {
		boards.ZIncrBy(ctx, "leaderboard:"+name+":"+at.Format("2006-01-02"), duration, text("userId"))
		boards.ZIncrBy(ctx, fmt.Sprintf("leaderboard:%s:%d-W%d", name, year, week), duration, text("userId"))
		boards.ZIncrBy(ctx, fmt.Sprintf("leaderboard:%s:%d-M%d", name, at.Year(), at.Month()), duration, text("userId"))
	}
	return nil
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	defer stop()
	client, err := mongo.Connect(options.Client().ApplyURI(os.Getenv("MONGO_URI")))
	if err != nil {
		log.Fatal(err)
	}
	database := client.Database(os.Getenv("MONGO_DATABASE"))
	found, err := loadRules(ctx, database.Collection("category_pattern"))
	if err != nil {
		log.Fatal(err)
	}
	zone, err := time.LoadLocation("Asia/Seoul")
	if err != nil {
		log.Fatal(err)
	}
	s := &service{
		redis: redis.NewClient(&redis.Options{Addr: os.Getenv("REDIS_ADDR"), PoolSize: 2 * workers}),
		data:  database.Collection("categorized_data"), logs: database.Collection("pomodoro_usage_log"),
		rules: found, zone: zone,
		stream: os.Getenv("STREAM_KEY"), group: os.Getenv("STREAM_GROUP"),
	}
	err = s.redis.XGroupCreateMkStream(ctx, s.stream, s.group, "0").Err()
	if err != nil && !strings.HasPrefix(err.Error(), "BUSYGROUP") {
		log.Fatal(err)
	}
	log.Print("Loaded category patterns")
	var group sync.WaitGroup
	for number := range workers {
		group.Add(1)
		go func() {
			defer group.Done()
			if err := s.work(ctx, fmt.Sprintf("worker-%d", number)); err != nil && ctx.Err() == nil {
				log.Fatal(err)
			}
		}()
	}
	group.Wait()
}
